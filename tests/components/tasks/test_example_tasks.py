"""The tasks of examples: their losses by hand, what they learn, and what they are judged by."""

import dataclasses

import numpy as np
import pytest

from components.evaluator.examples import evaluate_examples
from components.tasks import files
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import ExampleInputs, Spec
from components.trainer.examples import ExampleData
from components.trainer.loop import train
from components.trainer.training import Training
from components.transform.examples import Examples
from pipeline.config import ModelConfig, OptimizerConfig, ThresholdsConfig, TrainerConfig
from pipeline.evaluator_config import TASK_METRICS
from tests.components.tasks import example_data
from tests.testing import randomise, to_numpy

TRAINER = TrainerConfig(
    epochs=12,
    batch_size=16,
    save_every_seconds=None,
    diagnostics=True,
    optimizer=OptimizerConfig(learning_rate=0.01, schedule="constant", global_clipnorm=1.0),
)


def config(kind, **arguments):
    return ModelConfig(task=example_data.task_of(kind), units=12, layers=1, **arguments)


@pytest.fixture(scope="module", params=list(example_data.KINDS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def data(kind, tmp_path_factory):
    return example_data.write(tmp_path_factory.mktemp(kind), kind)


def built(kind, data, **arguments):
    task = EXAMPLE_TASKS[example_data.task_of(kind)]
    opened = ExampleData.read(*data, task, TRAINER)
    return task.build_for(config(kind, **arguments), opened.spec, seed=1), opened


def token_errors(model, features):
    """-ln p of each token of one target and of `<end>` after it, each read from a call of its own."""
    writer, context = model.writer, model.context_of(features, {})
    written = [writer.end, *features["target"][0].tolist()]
    errors = []
    for n, right in enumerate([*written[1:], writer.end], start=1):
        outputs, _ = writer.decoder(writer.table(np.array([written[:n]], "int32")), context)
        logits = to_numpy(writer.readout(outputs[:, -1]))[0].astype("float64")
        errors.append(np.log(np.exp(logits).sum()) - logits[right])
    return errors


def errors_by_hand(kind, model, batch, row):
    """The loss of each prediction of one example, read alone and without padding."""
    lengths = {name: [int(batch.lengths[name][row])] for name in batch.lengths}
    features = {
        name: value[row : row + 1, : lengths[name][0]] if name in lengths else value[row : row + 1]
        for name, value in batch.features.items()
    }
    found = {name: to_numpy(value)[0] for name, value in model.predict_batch(features, {}).items()}
    if kind in example_data.WRITERS:
        return token_errors(model, features)
    if kind == "classification":
        return [-np.log(found["probabilities"][features["label"][0]])]
    if kind == "tagging":
        return [-np.log(p[tag]) for p, tag in zip(found["probabilities"], features["tags"][0], strict=True)]
    if kind == "regression_sequence":
        return [((found["value"] - features["value"][0]) / model.value_std) ** 2]
    std = np.asarray(model.encoder.reader.std)
    return np.mean(((found["value"][:-1] - features["array"][0, 1:]) / std) ** 2, axis=-1).tolist()


def test_loss_counts_every_prediction_once_and_no_padding(kind, data):
    model, opened = built(kind, data)
    randomise(model, seed=2)
    batches = list(Examples(data[1], "eval").in_order(8, buckets=1, features=opened.names))
    batch = next(batch for batch in batches if 0 < batch.weights.sum() < 8)  # with rows that only fill it
    names = [name for name in opened.names if name in batch.lengths]
    assert any(len(set(batch.lengths[name][batch.weights > 0])) > 1 for name in names)  # and with padding

    loss = model.loss_of(ExampleInputs.of(batch), training=False)

    expected = [error for row in np.flatnonzero(batch.weights) for error in errors_by_hand(kind, model, batch, row)]
    assert float(loss.total) == pytest.approx(np.sum(expected), rel=1e-4)
    assert float(loss.count) == len(expected)
    assert loss.positions > len(expected)
    assert loss.states == []


@pytest.mark.slow
def test_task_learns_its_rule_and_beats_the_baseline(kind, data, tmp_path):
    model, opened = built(kind, data)
    before = evaluate_examples(model, *data).metrics["test"]

    outcome = train(model, opened, TRAINER, tmp_path, tmp_path / "work")

    found = evaluate_examples(files.load(tmp_path), *data)
    reached, (baseline, *_) = found.metrics["test"], found.metrics["test"]["baselines"].values()
    higher = kind in ("classification", "tagging")
    metric = "accuracy" if higher else "error_rate" if kind in example_data.WRITERS else "mse"
    sign = 1 if higher else -1
    assert sign * reached[metric] > sign * baseline[metric]
    assert sign * reached[metric] > sign * before[metric]
    low, high = reached["intervals"][metric]
    assert low <= reached[metric] <= high
    assert reached["examples"] == example_data.SIZES["test"]
    assert metric in found.report
    assert outcome.steps == 12 * opened.train.whole_epoch
    assert np.isfinite(outcome.best)


def test_metrics_are_those_that_thresholds_can_be_on(kind, data):
    model, _ = built(kind, data)

    metrics = evaluate_examples(model, *data).metrics["eval"]

    beside = {
        "examples",
        "intervals",
        "baselines",
        "slices",
        *(["bleu_signature"] if kind in example_data.WRITERS else []),
    }
    assert sorted(set(metrics) - beside) == sorted(TASK_METRICS[model.task])
    assert set(TASK_METRICS[model.task]) <= set(ThresholdsConfig.model_fields)


def test_bleu_is_reported_with_the_signature_that_makes_it_comparable(tmp_path):
    data = example_data.write(tmp_path, "captioning of classes")
    model, _ = built("captioning of classes", data)

    found = evaluate_examples(model, *data)

    signature = found.metrics["test"]["bleu_signature"]
    assert signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert found.report.count(f"\nbleu_signature: {signature}\n") == 2  # of eval and test


@pytest.mark.slow
def test_text_that_is_not_read_is_no_baseline(tmp_path):
    make, features = example_data.KINDS["captioning of classes"]

    def with_text(random):
        return {**make(random), "tokens": [example_data.UP, example_data.LEFT]}

    data = example_data.write_kind(
        tmp_path, with_text, {**features, "tokens": example_data.TOKENS}, labels=sorted(example_data.COMMANDS)
    )
    model, _ = built("captioning of classes", data)
    assert set(evaluate_examples(model, *data).metrics["test"]["baselines"]) == {"most frequent"}
    # What is read is one.
    read = example_data.write(tmp_path / "read", "seq2seq")
    model, _ = built("seq2seq", read)
    assert set(evaluate_examples(model, *read).metrics["test"]["baselines"]) == {"most frequent", "copy"}


@pytest.mark.slow
def test_value_far_from_zero_is_learnt_and_predicted_in_its_own_units(tmp_path):
    def far(random):
        row = example_data.marked_sum(random)
        return {**row, "value": 1000 + 50 * (row["value"] - 1) / 6**-0.5}  # mean 1000, standard deviation 50

    _, features = example_data.KINDS["regression_sequence"]
    data = example_data.write_kind(tmp_path, far, features)
    model, opened = built("regression_sequence", data)
    assert (model.value_mean, model.value_std) == (pytest.approx(1000, abs=15), pytest.approx(50, abs=10))
    before = opened.objective(model).evaluate()["loss"]

    train(model, opened, TRAINER, tmp_path, tmp_path / "work")

    loaded = files.load(tmp_path)
    reached = evaluate_examples(loaded, *data).metrics["test"]
    assert before < 10  # in standard deviations: of raw numbers it would be a million
    assert reached["mse"] < reached["baselines"]["mean"]["mse"] / 2
    assert 100 < reached["baselines"]["mean"]["mse"] < 10_000  # guard: metrics are of raw numbers
    batch = next(Examples(data[1], "test").in_order(8, features=["array"]))
    found = to_numpy(loaded.predict_batch(batch.features, batch.lengths)["value"])
    assert 800 < found.min() < found.max() < 1200


def test_value_that_is_constant_is_standardised_to_zero(tmp_path):
    _, features = example_data.KINDS["regression_sequence"]
    data = example_data.write_kind(tmp_path, lambda random: {**example_data.marked_sum(random), "value": 7.0}, features)
    model, opened = built("regression_sequence", data)

    assert (model.value_mean, model.value_std) == (7.0, 1.0)
    assert np.isfinite(opened.objective(model).evaluate()["loss"])


@pytest.mark.slow
def test_training_of_examples_copies_no_weights_for_diagnostics(tmp_path, monkeypatch):
    model, opened = built("classification", example_data.write(tmp_path, "classification"))
    copies = []
    monkeypatch.setattr(Training, "_weights", lambda self: copies.append(self.step) or {})

    train(model, opened, TRAINER.model_copy(update={"epochs": 1}), tmp_path, tmp_path / "work")

    assert TRAINER.diagnostics  # guard
    assert copies == []


def test_evaluation_keeps_of_tags_no_probability_of_another_class(tmp_path):
    model, _ = built("tagging", example_data.write(tmp_path, "tagging"))
    examples = Examples(tmp_path / "examples", "eval")
    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), (2, 7)).astype("float32")  # of two examples, filled up to seven timesteps
    numbers = np.array([4, 1])

    kept = model.kept({"tags": p.argmax(-1).astype("int32"), "probabilities": p}, numbers, examples)

    for row, number in enumerate(numbers):
        truth = examples.read("tags", number)
        assert kept["tags"][row].tolist() == p[row, : len(truth)].argmax(-1).tolist()
        assert kept["tags"][row].base is None  # no view: the batch it was cut from is free
        assert kept["nats"][row] == pytest.approx(-sum(np.log(p[row, t, tag]) for t, tag in enumerate(truth)))


def test_model_saved_and_loaded_predicts_the_same(kind, data, tmp_path):
    model, opened = built(kind, data, dropout={"input": 0.2, "output": 0.3})
    randomise(model, seed=5)
    files.save(model, tmp_path)

    loaded = files.load(tmp_path)

    batch = next(Examples(data[1], "eval").in_order(8))
    inputs = model.input_names(list(opened.spec.features))
    features = {name: batch.features[name] for name in inputs}
    lengths = {name: batch.lengths[name] for name in inputs if name in batch.lengths}
    expected = model.predict_batch(features, lengths)
    for name, value in loaded.predict_batch(features, lengths).items():
        np.testing.assert_array_equal(to_numpy(value), to_numpy(expected[name]))
    assert type(loaded) is type(model)
    copy = type(model).from_config(model.get_config())  # what replicas on other devices are made by
    assert [weight.shape for weight in copy.weights] == [weight.shape for weight in model.weights]


def test_training_drops_inputs_and_evaluation_does_not(kind, data):
    model, opened = built(kind, data, dropout={"input": 0.5, "recurrent": 0.3, "output": 0.5})
    batch = ExampleInputs.of(next(Examples(data[1], "train").in_order(16, features=opened.names)))

    training = [float(model.loss_of(batch, training=True).total) for _ in range(2)]
    evaluation = [float(model.loss_of(batch, training=False).total) for _ in range(2)]

    assert training[0] != training[1]
    assert evaluation[0] == evaluation[1]


def test_task_without_its_feature_is_refused_by_name(tmp_path):
    graph, examples = example_data.write(tmp_path, "tagging")

    with pytest.raises(ValueError, match=r"'classification' must have the feature 'label'.*tokens, tags"):
        ExampleData.read(graph, examples, EXAMPLE_TASKS["classification"], TRAINER)


def test_steps_of_an_epoch_are_the_same_from_any_step_on(kind, data):
    _, opened = built(kind, data)

    whole = [step.window for step in opened.train.read(2)]
    rest = [step.window for step in opened.train.read(2, first=3)]

    assert len(whole) == opened.train.whole_epoch == opened.train.total(2) - opened.train.total(1)
    for one, other in zip(whole[3:], rest, strict=True):
        for name, value in one.features.items():
            np.testing.assert_array_equal(value, other.features[name])
    first = next(iter(opened.train.read(1))).window
    assert any(
        (first.features[n].shape != v.shape) or (first.features[n] != v).any() for n, v in whole[0].features.items()
    )


def test_spec_reads_what_transform_wrote(tmp_path):
    graph, _ = example_data.write(tmp_path, "regression_sequence")

    spec = Spec.read(graph)

    assert list(spec.features) == ["array", "value"]
    assert len(spec.mean) == len(spec.std) == 2
    assert spec == dataclasses.replace(spec)
    assert not spec.classes
