"""Models of examples served: what a SavedModel answers is what the Keras model predicts, row by row."""

import dataclasses

import numpy as np
import pytest

from components.heavy_imports import import_quietly
from components.tasks import files
from components.tasks.captioning import Captioner
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import Spec
from components.transform.examples import Examples
from pipeline.config import ModelConfig
from tests.components.exporter.exported import export, infra_verdict
from tests.components.tasks import example_data
from tests.testing import randomise, to_numpy

STOPS = {"captioning": "stop_head", "captioning of classes": "length_head"}


@pytest.fixture(scope="module", params=list(example_data.KINDS))
def served(request, tmp_path_factory):
    """(kind, model, graph, examples, folder of the SavedModel, what it is when loaded)."""
    folder = tmp_path_factory.mktemp(request.param)
    graph, examples = example_data.write(folder, request.param)
    task = EXAMPLE_TASKS[example_data.task_of(request.param)]
    stop = STOPS.get(request.param, "end_token")
    config = ModelConfig(task=task.task, units=9, layers=2, bidirectional=request.param == "tagging", stop=stop)
    longest = dict.fromkeys(Spec.read(graph).features, 6)
    model = task.build_for(config, dataclasses.replace(Spec.read(graph), longest=longest), seed=1)
    randomise(model, seed=3)
    files.save(model, folder)
    saved_model = folder / "saved_model"
    saved_model.mkdir()
    export(folder, graph, saved_model)
    loaded = import_quietly("tensorflow").saved_model.load(str(saved_model))
    return request.param, model, graph, examples, saved_model, loaded


@pytest.mark.slow
def test_served_model_answers_as_the_keras_model_predicts(served):
    kind, model, _, examples, _, loaded = served
    split = Examples(examples, "eval")
    signature = loaded.signatures[model.signature]
    tf = import_quietly("tensorflow")
    assert set(loaded.signatures) == {"serving_default", model.signature, *model.aliases}

    batch = next(split.in_order(7, buckets=1))
    (source,) = model.input_names(list(split.features))
    given = {source: batch.features[source]}, {name: batch.lengths[name] for name in [source] if name in batch.lengths}
    expected = {name: to_numpy(value) for name, value in model.predict_batch(*given).items()}
    lengths = batch.lengths.get(source, np.zeros(7, "int32"))
    assert len(set(lengths.tolist())) > 1 or source not in batch.lengths
    if kind in example_data.WRITERS:
        check_texts(model, signature, request_of(tf, source, *given), expected, given)
        return
    if source == "tokens":
        texts = [example_data.WORDS.decode(row[:n]) for row, n in zip(batch.features[source], lengths, strict=True)]
        found = signature(text=tf.constant(texts))
    else:
        found = signature(array=tf.constant(batch.features[source]), lengths=tf.constant(lengths))
    found = {name: value.numpy() for name, value in found.items()}

    for row, length in enumerate(lengths):
        if kind == "classification":
            assert found["label"][row].decode() == example_data.LABELS[expected["label"][row]]
            np.testing.assert_allclose(found["probabilities"][row], expected["probabilities"][row], atol=1e-5)
            assert found["classes"][row].tolist() == [name.encode() for name in example_data.LABELS]
        elif kind == "tagging":
            tags = [tag.decode() for tag in found["tags"][row]]
            assert tags[:length] == [example_data.TAGS[tag] for tag in expected["tags"][row, :length]]
            assert not any(tags[length:])
            assert found["classes"][row].tolist() == [name.encode() for name in example_data.TAGS]
        else:
            valid = slice(None, length) if kind == "forecast" else slice(None)
            ours, theirs = np.atleast_1d(found["value"][row])[valid], np.atleast_1d(expected["value"][row])[valid]
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert any(len({str(value) for value in values}) > 1 for values in found.values())  # guard: rows differ


def request_of(tf, source, features, lengths):
    rows = features[source]
    if source == "tokens":
        texts = [example_data.WORDS.decode(row[:n]) for row, n in zip(rows, lengths[source], strict=True)]
        return {"text": tf.constant(texts)}
    if source == "label":
        return {"label": tf.constant([sorted(example_data.COMMANDS)[label] for label in rows])}
    return {"array": tf.constant(rows)}


def check_texts(model, signature, request, expected, given):
    """Greedy and beam search, as the Keras model writes."""
    tf = import_quietly("tensorflow")
    wide = {name: to_numpy(value) for name, value in model.search(*given, width=3).items()}
    rows = len(expected["text"])
    for width, wanted in ((1, expected), (3, wide)):
        found = {k: v.numpy() for k, v in signature(**request, beam_width=tf.constant([width])).items()}
        texts = [example_data.FRENCH.decode(i[:n]) for i, n in zip(wanted["text"], wanted["lengths"], strict=True)]
        assert [text.decode() for text in found["text"]] == texts
        np.testing.assert_allclose(found["log_prob"], wanted["log_prob"], atol=1e-4)
        np.testing.assert_array_equal(found["finished"], wanted["finished"])
        assert set(found) == {"text", "log_prob", "finished"}
    assert len({str(text) for text in texts}) > 1  # guard: rows differ
    each = {k: v.numpy() for k, v in signature(**request, beam_width=tf.constant([1, 3] * rows)[:rows]).items()}
    np.testing.assert_allclose(each["log_prob"][::2], expected["log_prob"][::2], atol=1e-4)
    np.testing.assert_allclose(each["log_prob"][1::2], wide["log_prob"][1::2], atol=1e-4)


@pytest.mark.slow
def test_served_model_answers_its_own_warm_up_requests(client, served):
    _, model, _, _, saved_model, _ = served

    answered = client.ask("warm_up", str(saved_model))

    assert {signature for _, signature, _, _ in answered} == {"serving_default", model.signature, *model.aliases}
    for _, _, sent, answers in answered:
        assert {len(value) for value in sent.values()} == {1}
        assert all(np.isfinite(value).all() for value in answers.values() if value.dtype.kind == "f")


def test_served_writer_names_its_inputs_has_a_default_and_refuses_what_it_does_not_know(client, tmp_path):
    graph, _ = example_data.write(tmp_path, "captioning of classes")
    spec = dataclasses.replace(Spec.read(graph), longest={"target": 3})
    model = Captioner.build_for(ModelConfig(task="captioning", units=3, layers=1), spec)
    files.save(model, tmp_path)
    saved_model = tmp_path / "saved_model"
    saved_model.mkdir()
    export(tmp_path, graph, saved_model)
    tf = import_quietly("tensorflow")
    signature = tf.saved_model.load(str(saved_model)).signatures["caption"]

    described = signature_def(saved_model, "caption")
    assert set(described.inputs) == {"label", "beam_width"}
    assert list(described.defaults["beam_width"].int_val) == [1]
    assert signature(label=tf.constant(["dive"]), beam_width=tf.constant([1]))["text"].shape == (1,)
    for unknown in ("jump", ""):
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"(?s)label must be one of.*{unknown}"):
            signature(label=tf.constant(["dive", unknown]), beam_width=tf.constant([1]))
    asked = [sorted(sent) for _, name, sent, _ in client.ask("warm_up", str(saved_model)) if name == "caption"]
    assert asked == [["label"], ["beam_width", "label"]]
    assert (saved_model / "assets" / "label.txt").read_text("utf-8").split() == sorted(example_data.COMMANDS)
    (tmp_path / "blessing").mkdir()
    assert infra_verdict(tmp_path, graph, saved_model, tmp_path / "blessing") == []


def test_model_that_answers_unknown_classes_is_refused(tmp_path):
    tf = import_quietly("tensorflow")
    from components.infra_validator.example_check import wrong_answers

    def caption(label, beam_width):
        ones = tf.ones_like(label, tf.float32) * tf.cast(tf.reduce_min(beam_width), tf.float32) * 0
        return {"text": tf.strings.join([label, "!"]), "log_prob": ones, "finished": tf.equal(ones, 0)}

    module = tf.Module()
    specs = [tf.TensorSpec([None], tf.string, "label"), tf.TensorSpec([None], tf.int32, "beam_width")]
    module.caption = tf.function(caption, input_signature=specs)
    signatures = {"serving_default": module.caption, "caption": module.caption}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    loaded = tf.saved_model.load(str(tmp_path))

    assert wrong_answers(loaded.signatures, "caption", ["dive", "climb"])[0] == [
        "label must be a known class; another one is answered."
    ]


def signature_def(saved_model, name):
    """What a server reads of a signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    return proto.meta_graphs[0].signature_def[name]


@pytest.mark.slow
def test_served_model_of_examples_is_blessed_in_a_fresh_process(served, tmp_path):
    _, _, graph, _, saved_model, _ = served

    assert infra_verdict(saved_model.parent, graph, saved_model, tmp_path) == []


def signatures_of(tf, function, folder):
    """Those of a SavedModel that answers an array with `function` of it."""
    module = tf.Module()
    specs = [tf.TensorSpec([None, None, 2], name="array"), tf.TensorSpec([None], tf.int32, "lengths")]
    module.predict = tf.function(lambda array, lengths: {"value": function(array)}, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.predict, "predict": module.predict})
    module.loaded = tf.saved_model.load(str(folder))
    return module.loaded.signatures


def test_answers_that_are_wrong_are_refused_by_name(tmp_path):
    tf = import_quietly("tensorflow")
    from components.infra_validator.example_check import wrong_answers

    def mean(array):
        return tf.reduce_mean(array, axis=[1, 2])

    good = signatures_of(tf, mean, tmp_path / "good")
    mixed = signatures_of(tf, lambda array: mean(array) - tf.reduce_mean(mean(array)), tmp_path / "mixed")
    not_finite = signatures_of(tf, lambda array: tf.math.log(-1 - tf.abs(mean(array))), tmp_path / "not_finite")

    assert wrong_answers(good, "predict")[0] == []
    assert any("value of row 0 must not depend" in reason for reason in wrong_answers(mixed, "predict")[0])
    assert any("value must be finite" in reason for reason in wrong_answers(not_finite, "predict")[0])
    one_row = signatures_of(tf, lambda array: mean(array)[:1], tmp_path / "one_row")
    said = "value must have a row for each of the 4 of a request; its shape is [1]."
    assert wrong_answers(one_row, "predict")[0] == [said]
    assert wrong_answers({"predict": good["predict"]}, "predict")[0] == ["Signature 'serving_default' is missing."]
    assert "outputs must be" in wrong_answers({**good, "classify": good["predict"]}, "classify")[0][0]
