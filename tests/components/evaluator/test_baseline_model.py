"""The Evaluator against the last blessed model: the same data, its own vocabulary, and when it runs again."""

import json
import math
import shutil

import numpy as np
import pytest

from components import progress
from components.documents import Documents
from components.evaluator.examples import evaluate_examples, example_figures
from components.evaluator.stage import Evaluator
from components.features import Feature, write_features
from components.tasks import files
from components.tasks.classification import Classifier
from components.tasks.example_task import Spec
from components.transform.graph import save_classes
from components.transform.tokenizers import IDENTITY, CharTokenizer, WordTokenizer
from pipeline.config import EvaluatorConfig, ModelConfig
from pipeline.files import digest_folder
from tests.components.tasks import example_data
from tests.components.test_resolver import Root
from tests.testing import document_nats, random_model, stream_of, write_documents, write_lanes

TEXTS = {"train": ["abcabcab"], "eval": ["abc", "", "ddabaac"], "test": ["ab"]}
SAME = CharTokenizer(("pad", "end"), IDENTITY, "abcd")
OTHER = CharTokenizer(("end", "unk"), IDENTITY, "bcda")  # other ids, another special


def model_of(folder, tokenizer, seed):
    """Writes a model with its vocabulary; returns the two folders and the model."""
    model = random_model(len(tokenizer), 5, 2, seed=seed)
    (folder / "model").mkdir(parents=True)
    files.save(model, folder / "model")
    (folder / "transform_graph").mkdir()
    tokenizer.save(folder / "transform_graph")
    return folder / "model", folder / "transform_graph", model


def lanes_of(folder, tokenizer):
    streams = {name: [tokenizer.encode(text).tolist() for text in texts] for name, texts in TEXTS.items()}
    return write_lanes(
        folder, {name: (stream_of(each, tokenizer.end), 1) for name, each in streams.items()}, 4, len(tokenizer)
    )


class Judging:
    """A root in which models are judged one after the other, as the runner has it."""

    def __init__(self, path):
        self.root = Root(path / "root")
        self.path = path
        self.examples = write_documents(path / "examples", TEXTS)

    def train(self, name, tokenizer=SAME, seed=0):
        """Inputs of the Evaluator, in the root."""
        graph, model = self.root.next(), self.root.next()
        made_model, made_graph, self.model = model_of(self.path / name, tokenizer, seed)
        inputs = {"examples": self.examples, "transformed_examples": lanes_of(self.path / name / "lanes", tokenizer)}
        for stage, number, made in (("transform", graph, made_graph), ("trainer", model, made_model)):
            folder = self.root.path / stage / str(number)
            shutil.copytree(made, folder / made.name)
            record = {"inputs": {}, "outputs": {made.name: digest_folder(made)}}
            (folder / "execution.json").write_text(json.dumps(record))
            inputs[made.name] = folder / made.name
        return inputs

    def judge(self, inputs, **thresholds):
        """Runs the Evaluator; returns the execution's folder."""
        folder = self.root.path / "evaluator" / str(self.root.next())
        outputs = {key: folder / key for key in ("evaluation", "blessing")}
        for output in outputs.values():
            output.mkdir(parents=True)
        self.stage(**thresholds).run(inputs, outputs, self.root.path)
        digests = {key: digest_folder(inputs[key]) for key in ("model", "transform_graph")}
        (folder / "execution.json").write_text(json.dumps({"inputs": digests, "outputs": {}}))
        return folder

    def stage(self, **thresholds):
        return Evaluator(evaluator=EvaluatorConfig.model_validate({"thresholds": thresholds}))

    def reusable(self, folder, **thresholds):
        outputs = {key: folder / key for key in ("evaluation", "blessing")}
        return self.stage(**thresholds).reusable(outputs, self.root.path)


@pytest.fixture
def judging(tmp_path):
    return Judging(tmp_path)


ANY = {"bits_per_char": {"change": {"absolute": 9.0}}}
NONE = {"bits_per_char": {"change": {"absolute": -9.0}}}


def bits(model, tokenizer):
    texts = TEXTS["eval"]
    nats = sum(document_nats(model.get_weights(), tokenizer.encode(text), tokenizer.end) for text in texts)
    return nats / sum(len(text) + 1 for text in texts) / math.log(2)


def compared(folder):
    return json.loads((folder / "blessing" / "comparison.json").read_text("utf-8"))


def test_evaluator_without_thresholds_on_change_compares_with_nothing(judging):
    folder = judging.judge(judging.train("a"), bits_per_char={"upper": 100.0})
    assert [path.name for path in (folder / "blessing").iterdir()] == ["BLESSED"]


def test_evaluator_first_model_is_judged_by_the_other_thresholds_alone_and_says_so(judging):
    inputs = judging.train("a")
    folder = judging.judge(inputs, **NONE)
    assert (folder / "blessing" / "BLESSED").is_file()
    assert "No other model of this root has been blessed" in (folder / "blessing" / "comparison.txt").read_text("utf-8")
    refused = judging.judge(inputs, bits_per_char={"upper": 0.1, "change": {"absolute": -9.0}})
    assert len((refused / "blessing" / "NOT_BLESSED").read_text("utf-8").splitlines()) == 1


@pytest.mark.parametrize("tokenizer", [SAME, OTHER], ids=["the same vocabulary", "another vocabulary"])
def test_evaluator_baseline_is_evaluated_on_the_data_of_now_with_its_own_vocabulary(judging, tokenizer):
    before = judging.train("a", tokenizer, seed=1)
    expected = bits(judging.model, tokenizer)
    judging.judge(before, **ANY)
    now = judging.train("b", seed=2)
    value = bits(judging.model, SAME)
    folder = judging.judge(now, **NONE)

    found = compared(folder)
    assert found["baseline"] == digest_folder(before["model"])
    assert found["metrics"]["bits_per_char"]["baseline"] == pytest.approx(expected, rel=1e-5)
    assert found["metrics"]["bits_per_char"]["value"] == pytest.approx(value, rel=1e-5)
    assert abs(expected - value) > 1e-3  # guard
    (reason,) = (folder / "blessing" / "NOT_BLESSED").read_text("utf-8").splitlines()
    assert f"the {expected:.4f} of the last blessed model, trainer 2, on the same data" in reason
    assert ("nats" in found["metrics"]) == (tokenizer is SAME)


def test_evaluator_tells_how_far_each_of_its_passes_is(judging, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1)
    judging.judge(judging.train("a", seed=1), **ANY)
    capsys.readouterr()
    judging.judge(judging.train("b", seed=2), **NONE)
    told = [line.partition("  ")[0] for line in capsys.readouterr().err.splitlines() if "tokens/s" in line]
    eval_tokens = sum(len(text) + 1 for text in TEXTS["eval"])
    assert told == [
        f"evaluator: eval: {eval_tokens}/{eval_tokens} tokens",
        "evaluator: test: 3/3 tokens",
        f"evaluator: last blessed: {eval_tokens}/{eval_tokens} tokens",
    ]


def test_evaluator_nats_of_another_vocabulary_are_not_compared_and_refuse(judging):
    judging.judge(judging.train("a", OTHER), **ANY)
    folder = judging.judge(
        judging.train("b"),
        nats={"change": {"absolute": 99.0}},
        bits_per_char={"slices": {"character=letters": {"change": {"absolute": 99.0}}}},
    )
    first, second = (folder / "blessing" / "NOT_BLESSED").read_text("utf-8").splitlines()
    assert "eval nats cannot be held against the last blessed model's, trainer 2: it has another vocabulary" in first
    assert "bits_per_char of character=letters cannot be held against" in second


def test_evaluator_same_model_again_is_reused_though_it_is_the_last_blessed_one_now(judging):
    folder = judging.judge(judging.train("a"), **ANY)
    assert judging.reusable(folder, **ANY)
    inputs = judging.train("b", seed=1)
    again = judging.judge(inputs, **ANY)
    assert judging.reusable(again, **ANY)
    assert compared(again)["baseline"] is not None  # guard


@pytest.mark.slow
def test_evaluator_former_model_is_judged_anew_once_another_was_blessed(judging):
    inputs = judging.train("a")
    first = judging.judge(inputs, **ANY)
    second = judging.judge(judging.train("b", seed=1), **ANY)
    assert not judging.reusable(first, **ANY)  # against b now
    third = judging.judge(inputs, **ANY)
    assert judging.reusable(third, **ANY)
    assert judging.reusable(second, **ANY)  # no loop: b is still held against a


@pytest.mark.slow
def test_evaluator_evaluation_is_the_same_whatever_it_is_compared_with(judging):
    inputs = judging.train("a")
    alone = judging.judge(inputs, **ANY)
    judging.judge(judging.train("b", seed=1), **ANY)
    beside = judging.judge(inputs, **ANY)
    assert digest_folder(alone / "evaluation") == digest_folder(beside / "evaluation")
    assert compared(alone) != compared(beside)  # guard


def test_evaluator_baseline_of_another_task_is_a_refusal(judging, tmp_path):
    inputs = judging.train("a")
    data = example_data.write(tmp_path / "data", "classification")
    config = ModelConfig(task="classification", units=3, layers=1)
    model = Classifier.build_for(config, Spec.read(data[0]))
    folder = judging.root.path / "trainer" / "2" / "model"
    shutil.rmtree(folder)
    folder.mkdir()
    files.save(model, folder)
    (folder.parent / "execution.json").write_text(
        json.dumps({"inputs": {}, "outputs": {"model": digest_folder(folder)}})
    )
    blessing = judging.root.path / "evaluator" / "9" / "blessing"
    blessing.mkdir(parents=True)
    (blessing / "BLESSED").touch()
    digests = {"model": digest_folder(folder), "transform_graph": digest_folder(inputs["transform_graph"])}
    (blessing.parent / "execution.json").write_text(json.dumps({"inputs": digests, "outputs": {}}))
    judging.root.count = 9
    refused = judging.judge(judging.train("b", seed=1), **ANY)
    assert "it is of the task classification, this one of language_model" in (
        refused / "blessing" / "NOT_BLESSED"
    ).read_text("utf-8")


# ---- Tasks of examples ----------------------------------------------------------------------------------------------


def classified(folder):
    """A classifier, its graph and transformed examples, and the same documents as an Examples artifact."""
    graph, transformed = example_data.write(folder / "data", "classification")
    model = Classifier.build_for(ModelConfig(task="classification", units=5, layers=1), Spec.read(graph), seed=3)
    from components.transform.examples import Examples

    texts, labels = {}, {}
    for split in ("train", "eval", "test"):
        held = Examples(transformed, split)
        texts[split] = [example_data.WORDS.decode(held.read("tokens", i)) for i in range(len(held))]
        labels[split] = [example_data.LABELS[i] for i in held.scalars("label")]
    examples = write_documents(folder / "examples", texts, label=labels)
    write_features(examples, {"text": Feature("text"), "label": Feature("class")})
    return model, graph, transformed, examples


@pytest.mark.slow
def test_example_figures_of_the_own_vocabulary_are_those_of_the_evaluation(tmp_path):
    model, graph, transformed, examples = classified(tmp_path)
    expected = evaluate_examples(model, graph, transformed).figures
    found = example_figures(model, graph, examples, beam_width=1)

    assert set(found.slices) == set(expected.slices) >= {"class=falls", "class=rises", "length=0-9"}
    for name, sums in expected.overall.items():
        np.testing.assert_allclose(found.overall[name].statistics, sums.statistics, rtol=1e-5)
    recall = expected.slices["class=rises"]["accuracy"].value
    labels = [fields["label"] for fields in Documents.splits(examples)["eval"].fields()]
    right = expected.overall["accuracy"].statistics[np.asarray(labels) == "rises"][:, 0].sum()
    assert recall == pytest.approx(right / labels.count("rises"))


def test_evaluator_tells_how_many_examples_are_done(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1)
    model, graph, transformed, examples = classified(tmp_path)
    evaluate_examples(model, graph, transformed)
    count = len(Documents.splits(examples)["eval"])
    *_, last = (line for line in capsys.readouterr().err.splitlines() if line.startswith("evaluator: eval: "))
    assert last.startswith(f"evaluator: eval: {count}/{count} examples  ")


def test_example_figures_of_a_class_that_the_model_does_not_know_is_an_error(tmp_path):
    model, graph, _, examples = classified(tmp_path)
    save_classes(graph, "label", ["falls", "stays"])
    WordTokenizer(("end", "unk", "pad"), IDENTITY, ("up", "down", "left", "right", "very")).save(graph)
    with pytest.raises(KeyError, match="rises"):
        example_figures(model, graph, examples, beam_width=1)
