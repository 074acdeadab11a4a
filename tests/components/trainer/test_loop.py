"""The training loop: carried states, what it writes, which weights it keeps, and that a seed decides everything."""

import json
import math

import keras
import numpy as np
import pytest

from components.tasks import files
from components.tasks.likelihood import evaluate, scorer
from components.trainer.corpus import Corpus
from components.trainer.loop import train
from components.trainer.samples import sampler
from components.trainer.stage import Trainer
from components.trainer.steps import LaneSteps
from components.transform.reader import LaneReader, Window
from components.transform.tokenizers import IDENTITY, CharTokenizer
from pipeline.config import ModelConfig, OptimizerConfig, TrainerConfig
from tests.testing import back_propagation, random_model, stream_of, write_lanes

VOCABULARY = CharTokenizer(("end", "unk", "pad"), IDENTITY, "abcd")
UNITS, LANES, LENGTH = 5, 4, 6


def documents(number, length, seed=8):
    return np.random.default_rng(seed).integers(3, 7, (number, length)).tolist()


def write_corpus(folder, train_documents, eval_documents, lanes=LANES, window_length=LENGTH):
    splits = {
        "train": (stream_of(train_documents, VOCABULARY.end), lanes),
        "eval": (stream_of(eval_documents, VOCABULARY.end), 1),
    }
    return write_lanes(folder, splits, window_length, len(VOCABULARY))


def read_corpus(folder, batch_size=None):
    eval_stream = LaneReader(folder, "eval", VOCABULARY.end).stream()
    return Corpus(
        train=LaneSteps(LaneReader(folder, "train", VOCABULARY.end, batch_size)),
        train_bits=1 / math.log(2),
        eval_stream=eval_stream,
        eval_characters=len(eval_stream) - 1,
        tokenizer=VOCABULARY,
    )


def config(epochs, learning_rate, name="sgd", diagnostics=False, **settings):
    optimizer = OptimizerConfig(name=name, learning_rate=learning_rate, schedule="constant")
    return TrainerConfig(epochs=epochs, optimizer=optimizer, diagnostics=diagnostics, **settings)


def read_history(folder):
    entries = [json.loads(line) for line in (folder / "history.jsonl").read_text("utf-8").splitlines()]
    return [entry for entry in entries if "nats" in entry], [entry for entry in entries if "eval" in entry]


def numpy_training(weights, documents, batch_size, epochs, learning_rate, carry=True):
    """SGD over lanes in float64, states carried, gradients cut; returns the weights and the nats of each step."""
    stream = stream_of(documents, VOCABULARY.end)
    predictions = len(stream) - 1
    borders = [lane * predictions // LANES for lane in range(LANES + 1)]
    windows = math.ceil(math.ceil(predictions / LANES) / LENGTH)
    weights, nats = [np.asarray(weight, "float64") for weight in weights], []
    for _ in range(epochs):
        for group in range(0, LANES, batch_size):
            states = [np.zeros((batch_size, UNITS))] * 2
            for index in range(windows):
                inputs, targets, counted = np.zeros((3, batch_size, LENGTH), "int32")
                for row in range(batch_size):
                    start = borders[group + row] + index * LENGTH
                    stop = min(start + LENGTH, borders[group + row + 1])
                    inputs[row, : stop - start] = stream[start:stop]
                    targets[row, : stop - start] = stream[start + 1 : stop + 1]
                    counted[row, : stop - start] = 1
                window = Window(inputs, targets, inputs == VOCABULARY.end, counted.astype("float64"))
                if not carry:
                    states = [np.zeros((batch_size, UNITS))] * 2
                summed, gradients, states = back_propagation(weights, window, states)
                weights = [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)]
                nats.append((summed, counted.sum()))
    return weights, nats


# ---- Against NumPy --------------------------------------------------------------------------------------------------

NUMPY_DOCUMENTS = documents(9, 8) + documents(1, 3)  # 85 predictions: lanes of 21 and 22, 3½ windows long


@pytest.mark.parametrize("batch_size", [None, 2])
def test_train_sgd_over_lanes_equals_numpy(tmp_path, batch_size):
    corpus = read_corpus(write_corpus(tmp_path / "lanes", NUMPY_DOCUMENTS, NUMPY_DOCUMENTS), batch_size)
    model = random_model(len(VOCABULARY), UNITS, 2)
    initial = model.get_weights()

    train(model, corpus, config(2, 0.3, batch_size=batch_size), tmp_path, tmp_path / "work")

    steps, evaluations = read_history(tmp_path)
    assert [evaluation["best"] for evaluation in evaluations] == [True, True]  # so the last weights are stored
    expected, nats = numpy_training(initial, NUMPY_DOCUMENTS, batch_size or LANES, 2, 0.3)
    weights = files.load(tmp_path).get_weights()
    for actual, reference in zip(weights, expected, strict=True):
        np.testing.assert_allclose(actual, reference, atol=5e-6)
    half = len(nats) // 2
    for entry, part in zip(steps, (nats[:half], nats[half:]), strict=True):
        assert entry["nats"] == pytest.approx(sum(n for n, _ in part) / sum(t for _, t in part), rel=1e-5)
    # Guards: training without carried states, or in another batch size, ends elsewhere.
    dropped, _ = numpy_training(initial, NUMPY_DOCUMENTS, batch_size or LANES, 2, 0.3, carry=False)
    assert max(np.abs(a - b).max() for a, b in zip(dropped, expected, strict=True)) > 1e-3
    other, _ = numpy_training(initial, NUMPY_DOCUMENTS, 2 if batch_size is None else LANES, 2, 0.3)
    assert max(np.abs(a - b).max() for a, b in zip(other, expected, strict=True)) > 1e-3


# ---- What it writes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Text that can be learnt: "abcd" over and over."""
    cycle = [3, 4, 5, 6] * 6
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, [cycle[i:] for i in range(4)] * 6, [cycle[i:] for i in range(4)])
    return read_corpus(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """Folder of a training of two epochs."""
    folder = tmp_path_factory.mktemp("trained")
    train(random_model(len(VOCABULARY), UNITS, 2), corpus, config(2, 0.01, "adam"), folder, folder / "work")
    return folder


def test_train_lowers_the_loss(trained):
    steps, evaluations = read_history(trained)

    assert steps[-1]["nats"] < 0.8 * steps[0]["nats"]
    assert evaluations[1]["eval"]["bits_per_char"] < evaluations[0]["eval"]["bits_per_char"]


def test_train_history_has_the_documented_keys(trained, corpus):
    steps, evaluations = read_history(trained)

    assert corpus.train.count(1) > 20
    assert [entry["step"] for entry in steps] == [
        20,
        corpus.train.count(1),
        corpus.train.count(1) + 20,
        2 * corpus.train.count(1),
    ]
    assert [entry["epoch"] for entry in steps] == [1, 1, 2, 2]
    assert {frozenset(entry) for entry in steps} == {
        frozenset({"epoch", "step", "nats", "bits_per_char", "gradient_norm", "clipped", "learning_rate", "seconds"})
    }
    assert [(entry["epoch"], entry["step"]) for entry in evaluations] == [
        (1, corpus.train.count(1)),
        (2, 2 * corpus.train.count(1)),
    ]
    assert {frozenset(entry) for entry in evaluations} == {frozenset({"epoch", "step", "eval", "best", "seconds"})}
    assert set(evaluations[0]["eval"]) == {"nats", "bits_per_char", "perplexity", "tokens"}
    assert all(entry["learning_rate"] == pytest.approx(0.01) for entry in steps)
    assert all(entry["gradient_norm"] > 0 for entry in steps)


def test_train_evaluating_less_often_gives_the_same_weights(trained, corpus, tmp_path):
    train(
        random_model(len(VOCABULARY), UNITS, 2),
        corpus,
        config(2, 0.01, "adam", evaluate_every=2),
        tmp_path,
        tmp_path / "work",
    )

    assert len(read_history(tmp_path)[1]) == 1
    for once, twice in zip(files.load(tmp_path).get_weights(), files.load(trained).get_weights(), strict=True):
        np.testing.assert_array_equal(once, twice)


def test_train_keeps_the_weights_of_the_best_epoch(tmp_path, getting_worse):
    corpus = getting_worse
    train(random_model(len(VOCABULARY), UNITS, 2), corpus, config(4, 0.03, "adam"), tmp_path, tmp_path / "work")

    evaluations = read_history(tmp_path)[1]
    bits = [entry["eval"]["bits_per_char"] for entry in evaluations]
    best = int(np.argmin(bits))
    assert best < 3  # guard: the last epoch is not the best one
    assert [entry["best"] for entry in evaluations] == [bits[i] == min(bits[: i + 1]) for i in range(4)]
    model = files.load(tmp_path)
    likelihood = evaluate(corpus.eval_stream, VOCABULARY.end, scorer(model), model.initial_states)
    stored = likelihood.metrics(corpus.eval_characters)
    assert stored["bits_per_char"] == pytest.approx(bits[best], rel=1e-5)
    assert abs(bits[-1] - bits[best]) > 1e-2


# ---- Schedules that follow the evaluations, averages, diagnostics ---------------------------------------------------


@pytest.fixture(scope="module")
def getting_worse(tmp_path_factory):
    """Eval has train's letters in another order: learning the letters helps, learning their order hurts."""
    swap = np.random.default_rng(8).permutation([3, 3, 4, 4] * 10).tolist()
    return read_corpus(write_corpus(tmp_path_factory.mktemp("worse"), [[3, 4] * 12] * 12, [sorted(swap), swap]))


def test_train_plateau_lowers_the_learning_rate_after_evaluations_without_a_best(tmp_path, getting_worse):
    optimizer = {"learning_rate": 0.03, "schedule": "plateau", "plateau": {"factor": 0.5, "patience": 2}}
    settings = TrainerConfig(epochs=6, diagnostics=False, optimizer=OptimizerConfig.model_validate(optimizer))
    train(random_model(len(VOCABULARY), UNITS, 2), getting_worse, settings, tmp_path, tmp_path / "work")

    steps, evaluations = read_history(tmp_path)
    expected, scale, since_best = [], 1.0, 0
    for evaluation in evaluations:
        expected.append(0.03 * scale)
        since_best = 0 if evaluation["best"] else since_best + 1
        scale *= 0.5 if since_best and since_best % 2 == 0 else 1
    rates = [[entry["learning_rate"] for entry in steps if entry["epoch"] == epoch][-1] for epoch in range(1, 7)]
    assert rates == pytest.approx(expected)
    assert expected[-1] < 0.03  # guard: it fell


def test_train_patience_ends_after_evaluations_without_a_best(tmp_path, getting_worse):
    settings = config(50, 0.03, "adam", patience=2)
    train(random_model(len(VOCABULARY), UNITS, 2), getting_worse, settings, tmp_path, tmp_path / "work")

    best = [evaluation["best"] for evaluation in read_history(tmp_path)[1]]
    assert len(best) < 50
    assert best[-3:] == [True, False, False]


def test_train_ema_evaluates_and_keeps_the_averages(tmp_path, corpus):
    optimizer = OptimizerConfig(name="sgd", learning_rate=0.3, schedule="constant", ema=0.9)
    averaged, plain = tmp_path / "averaged", tmp_path / "plain"
    for folder, settings in ((averaged, optimizer), (plain, optimizer.model_copy(update={"ema": None}))):
        folder.mkdir()
        trainer = TrainerConfig(epochs=2, diagnostics=False, optimizer=settings)
        train(random_model(len(VOCABULARY), UNITS, 2), corpus, trainer, folder, folder / "work")

    # What is trained is the same; what is evaluated is not.
    steps, evaluations = read_history(averaged)
    plain_steps, plain_evaluations = read_history(plain)
    for entry, other in zip(steps, plain_steps, strict=True):
        assert entry["nats"] == pytest.approx(other["nats"], rel=1e-5)
    model = files.load(averaged)
    likelihood = evaluate(corpus.eval_stream, VOCABULARY.end, scorer(model), model.initial_states)
    assert likelihood.nats == pytest.approx(evaluations[-1]["eval"]["nats"], rel=1e-5)
    assert abs(evaluations[-1]["eval"]["nats"] - plain_evaluations[-1]["eval"]["nats"]) > 1e-3


def test_train_diagnostics_are_in_the_history_and_drawn(tmp_path, corpus):
    train(
        random_model(len(VOCABULARY), UNITS, 2),
        corpus,
        config(2, 0.01, "adam", diagnostics=True),
        tmp_path,
        tmp_path / "work",
    )

    entries = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text("utf-8").splitlines()]
    measured = [entry for entry in entries if "diagnostics" in entry]
    assert [(entry["epoch"], entry["step"]) for entry in measured] == [(1, 24), (2, 48)]
    assert len(measured[0]["diagnostics"]["layers"]) == 2
    ratios = measured[0]["diagnostics"]["update_ratios"]
    assert all(0 < ratio < 1 for ratio in ratios.values())
    assert len(ratios) == 8
    assert "<svg" in (tmp_path / "training.html").read_text("utf-8")
    assert any((tmp_path / "tensorboard").iterdir())


# ---- Bad losses -----------------------------------------------------------------------------------------------------


def test_train_diverging_raises_and_stores_no_model(corpus, tmp_path):
    with pytest.raises(
        FloatingPointError, match=r"must be finite.*Received: .* at step 2 .*Lower trainer\.optimizer\.learning_rate"
    ):
        train(random_model(len(VOCABULARY), UNITS, 2), corpus, config(2, 1e38), tmp_path, tmp_path / "work")

    assert not (tmp_path / "model.json").exists()


def test_train_whose_last_update_diverges_raises_and_stores_no_model(tmp_path):
    # One step: its own loss is finite, and what it does to the weights is seen by the evaluation alone.
    corpus = read_corpus(write_corpus(tmp_path / "lanes", documents(1, 12), documents(1, 12)))
    assert corpus.train.count(1) == 1
    model = random_model(len(VOCABULARY), UNITS, 2, activation="relu")

    with pytest.raises(FloatingPointError, match="Received: bits_per_char nan on eval after epoch 1"):
        train(model, corpus, config(1, 1e30), tmp_path, tmp_path / "work")

    assert not (tmp_path / files.ARCHITECTURE).exists()


# ---- Seeds ----------------------------------------------------------------------------------------------------------


def test_trainer_stage_seed_decides_the_weights(tmp_path):
    write_corpus(tmp_path / "lanes", documents(6, 20), documents(2, 9))
    VOCABULARY.save(tmp_path)
    weights = []
    for run, seed in enumerate((3, 3, 4)):
        output = tmp_path / str(run)
        output.mkdir()
        settings = TrainerConfig(epochs=1, seed=seed, batch_size=2, diagnostics=False)
        stage = Trainer(model=ModelConfig(units=UNITS, layers=1), trainer=settings)
        inputs = {"transform_graph": tmp_path, "transformed_examples": tmp_path / "lanes"}
        stage.run(inputs, {"model": output}, tmp_path)
        stage.forget(tmp_path)
        weights.append(files.load(output).get_weights())

    first, again, other = weights
    assert first[0].shape == (len(VOCABULARY), UNITS)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_trainer_stage_environment_names_the_backend(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    stage = Trainer(model=ModelConfig(), trainer=TrainerConfig())

    assert stage.environment(tmp_path) == {"backend": keras.backend.backend()}


# ---- Samples --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def write_sample():
    model = random_model(len(VOCABULARY), UNITS, 2, scale=0.3)
    weights = model.get_weights()
    weights[-1][[VOCABULARY.unknown, 2]] = 20.0  # all of the probability is on <unk> and <pad>
    model.set_weights(weights)
    return sampler(model, VOCABULARY)


def test_sampler_never_writes_a_special(write_sample):
    texts = [write_sample(seed) for seed in range(20)]

    assert set("".join(texts)) == set("abcd")
    assert max(map(len, texts)) <= 300


def test_sampler_seed_decides_the_text(write_sample):
    assert write_sample(1) == write_sample(1)
    assert len({write_sample(seed) for seed in range(10)}) > 5


# ---- Told of evaluations --------------------------------------------------------------------------------------------


class Enough(Exception):
    """What a listener raises."""


def train_with_listener(tmp_path, listen):
    folder = write_corpus(tmp_path / "data", documents(8, 20), documents(2, 9))
    model = random_model(len(VOCABULARY), UNITS, 2)
    train(model, read_corpus(folder), config(4, 0.01), tmp_path, tmp_path / "work", on_evaluation=listen)


def test_train_tells_of_each_evaluation_what_the_history_holds(tmp_path):
    told = []

    train_with_listener(tmp_path, lambda epoch, metrics: told.append((epoch, metrics["bits_per_char"])))

    _, evaluations = read_history(tmp_path)
    assert told == [(entry["epoch"], entry["eval"]["bits_per_char"]) for entry in evaluations]
    assert [epoch for epoch, _ in told] == [1, 2, 3, 4]


def test_train_ends_with_the_exception_of_who_was_told(tmp_path):
    def listen(epoch, metrics):
        if epoch == 2:
            raise Enough

    with pytest.raises(Enough):
        train_with_listener(tmp_path, listen)

    _, evaluations = read_history(tmp_path / "work")
    assert [entry["epoch"] for entry in evaluations] == [1, 2]
    assert not (tmp_path / "model.weights.h5").exists()
