"""Which tokens each update reads, and truncated back-propagation with k1 < k2 against brute force."""

import itertools
import math

import keras
import numpy as np
import pytest

from components.trainer.backend import TrainStep, Update
from components.trainer.steps import ExampleSteps, LaneSteps
from components.transform.examples import Examples
from components.transform.manifest import FeatureInfo
from components.transform.reader import LaneReader, Window
from pipeline.trainer_config import LengthWarmupConfig
from tests.testing import (
    back_propagation,
    forward,
    negative_log_likelihood,
    random_model,
    stream_of,
    to_numpy,
    write_examples,
    write_lanes,
)

END, LANES, WINDOW, VOCABULARY = 0, 2, 4, 6
DOCUMENTS = np.random.default_rng(4)
DOCUMENTS = [DOCUMENTS.integers(1, VOCABULARY, length).tolist() for length in (9, 2, 13, 5)]
STREAM = stream_of(DOCUMENTS, END)  # 33 predictions: lanes of 16 and 17


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("lanes")
    return write_lanes(path, {"train": (STREAM, LANES)}, WINDOW, VOCABULARY)


def lane_steps(folder, *arguments, batch_size=None, **settings):
    return LaneSteps(LaneReader(folder, "train", END, batch_size), *arguments, **settings)


def naive_lanes():
    """The predictions of each lane: (inputs, targets)."""
    total = len(STREAM) - 1
    borders = [lane * total // LANES for lane in range(LANES + 1)]
    return [(STREAM[a:b], STREAM[a + 1 : b + 1]) for a, b in itertools.pairwise(borders)]


# ---- Which tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("interval", "length"), [(4, 4), (3, 3), (3, 7), (1, 5), (5, 6), (17, 17), (40, 40)])
def test_lane_steps_every_prediction_counts_once_with_its_context_before_it(folder, interval, length):
    steps = lane_steps(folder, interval, length)
    seen = [[] for _ in range(LANES)]
    for index, step in enumerate(steps.read(1)):
        window = step.window
        assert window.inputs.shape == (LANES, length)
        assert step.fresh == (index == 0)
        for lane, (inputs, targets) in enumerate(naive_lanes()):
            for column in range(length):
                position = index * interval + interval - length + column
                counted = column >= length - interval and position < len(inputs)
                assert window.weights[lane, column] == counted
                if 0 <= position < len(inputs):
                    assert window.inputs[lane, column] == inputs[position]
                    assert window.targets[lane, column] == targets[position]
                    opens = inputs[position] == END or (
                        position == 0 and length > interval and index * interval < length
                    )
                    assert window.reset[lane, column] == opens
                elif position < 0:
                    assert not window.reset[lane, column]
                if counted:
                    seen[lane].append(window.inputs[lane, column])
    assert steps.count(1) == steps.count(2) == index + 1 == math.ceil(17 / interval)
    assert [np.asarray(lane).tolist() for lane in seen] == [inputs.tolist() for inputs, _ in naive_lanes()]


@pytest.mark.parametrize("first", [0, 1, 4, 6])
def test_lane_steps_read_from_any_step_is_the_same(folder, first):
    steps = lane_steps(folder, 3, 5, batch_size=1)
    everything = list(steps.read(2))
    assert [step.fresh for step in everything] == [index in (0, 6) for index in range(12)]
    for step, expected in zip(steps.read(2, first), everything[first:], strict=True):
        assert step.fresh == expected.fresh
        for array, same in zip(step.window, expected.window, strict=True):
            np.testing.assert_array_equal(array, same)


def test_lane_steps_length_warmup_doubles_in_stages_and_loses_nothing(folder):
    steps = lane_steps(folder, 8, warmup=LengthWarmupConfig(length=2, steps=10))
    epochs = [[step.window for step in steps.read(epoch)] for epoch in (1, 2, 3)]

    # Steps 0 to 4 read 2, steps 5 to 9 read 4, then 8; an epoch has 17 predictions in its longer lane.
    assert [window.inputs.shape[1] for window in epochs[0]] == [2] * 5 + [4, 4]
    assert [window.inputs.shape[1] for window in epochs[1]] == [4, 4, 4, 8]
    assert [window.inputs.shape[1] for window in epochs[2]] == [8, 8, 8]
    assert [steps.count(epoch) for epoch in (1, 2, 3)] == [7, 4, 3]
    assert (steps.total(0), steps.total(1), steps.total(5)) == (0, 7, 20)
    for windows in epochs:
        for lane, (inputs, _) in enumerate(naive_lanes()):
            read = np.concatenate([window.inputs[lane][window.weights[lane] > 0] for window in windows])
            np.testing.assert_array_equal(read, inputs)


# ---- Truncated back-propagation -------------------------------------------------------------------------------------


def naive_window(index, interval, length):
    """The window of an update, and whether it begins before the lane does."""
    inputs, targets, weights = np.zeros((3, LANES, length), "int32")
    reset = np.zeros((LANES, length), bool)
    for lane, (xs, ys) in enumerate(naive_lanes()):
        for column in range(length):
            position = index * interval + interval - length + column
            if 0 <= position < len(xs):
                inputs[lane, column], targets[lane, column] = xs[position], ys[position]
                weights[lane, column] = column >= length - interval
                reset[lane, column] = xs[position] == END or position == 0
    return Window(inputs, targets, reset, weights.astype("float64"))


def numpy_truncated(weights, interval, length, rate):
    """SGD with k1 = interval and k2 = length over one epoch in float64: the state at each position is kept from when
    it was first computed with the weights that the update before had."""
    weights = [np.asarray(weight, "float64") for weight in weights]
    units = weights[1].shape[0]
    states = [np.zeros((LANES, units))] * 2
    for index in range(math.ceil(17 / interval)):
        window = naive_window(index, interval, length)
        _, gradients, _ = back_propagation(weights, window, states)
        _, states = forward(weights, window.inputs[:, :interval], states, window.reset[:, :interval])
        scale = length / interval  # the reference divides by all positions
        weights = [weight - rate * scale * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    return weights


@pytest.mark.parametrize(("interval", "length"), [(4, 4), (3, 7), (1, 4), (4, 6)])
def test_train_steps_with_k1_and_k2_equal_numpy(folder, interval, length):
    model = random_model(VOCABULARY, 5, 2)
    initial = model.get_weights()
    steps = lane_steps(folder, interval, length)
    rate = 0.3
    take = TrainStep(
        model, keras.optimizers.SGD(), Update(lambda step: keras.ops.full((), rate), context=steps.context)
    )
    states = model.initial_states(LANES)
    for number, step in enumerate(steps.read(1)):
        states, _ = take(step.window, states, number)
    take.sync()

    expected = numpy_truncated(initial, interval, length, rate)
    for actual, reference in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(actual, reference, atol=1e-5)
    # Guard: another truncation gives other weights.
    other = numpy_truncated(initial, interval, length + 3, rate)
    assert max(np.abs(a - b).max() for a, b in zip(other, expected, strict=True)) > 1e-3


def test_train_step_with_context_equals_central_differences():
    """The gradient of the counted losses as a function of the weights, the state before the context being given."""
    interval, length = 3, 7
    model = random_model(4, 3, 2)
    weights = [np.asarray(weight, "float64") for weight in model.get_weights()]
    random = np.random.default_rng(6)
    tokens = random.integers(1, 4, (2, length + 1)).astype("int32")
    counted = np.zeros((2, length), "float32")
    counted[:, length - interval :] = 1
    window = Window(tokens[:, :-1], tokens[:, 1:], np.zeros((2, length), bool), counted)
    states = [random.uniform(-0.8, 0.8, (2, 3)) for _ in range(2)]

    take = TrainStep(
        model,
        keras.optimizers.SGD(),
        Update(lambda step: keras.ops.full((), 1.0), context=length - interval),
    )
    carried, _ = take(window, [state.astype("float32") for state in states], 0)
    take.sync()
    update = [old - new for old, new in zip(weights, model.get_weights(), strict=True)]

    def loss():
        logits, _ = forward(weights, window.inputs, states, window.reset)
        return (negative_log_likelihood(logits, window.targets) * counted).sum() / (2 * interval)

    for weight, change in zip(weights, update, strict=True):
        for place in np.ndindex(weight.shape):
            kept = weight[place]
            weight[place] = kept + 1e-5
            above = loss()
            weight[place] = kept - 1e-5
            below = loss()
            weight[place] = kept
            assert change[place] == pytest.approx((above - below) / 2e-5, abs=2e-6)
    _, expected = forward(weights, window.inputs[:, :interval], states)
    for state, reference in zip(carried, expected, strict=True):
        np.testing.assert_allclose(to_numpy(state), reference, atol=1e-6)


def test_loss_with_context_is_the_loss_of_one_pass():
    model = random_model(VOCABULARY, 5, 2)
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (2, 8)).astype("int32")
    window = Window(tokens[:, :-1], tokens[:, 1:], tokens[:, :-1] == END, np.ones((2, 7), "float32"))
    states = [np.full((2, 5), 0.3, "float32")] * 2

    whole = model.loss_of(window, states)
    parts = model.loss_of(window, states, context=4)

    assert float(parts.total) == pytest.approx(float(whole.total), rel=1e-5)
    _, expected = forward(model.get_weights(), window.inputs[:, :3], states, window.reset[:, :3])
    np.testing.assert_allclose(to_numpy(parts.states[1]), expected[1], atol=1e-6)


# ---- Whole documents ------------------------------------------------------------------------------------------------


WHOLE = [
    np.random.default_rng(n).integers(1, VOCABULARY, length).tolist() for n, length in enumerate((9, 2, 9, 0, 9, 9))
]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    rows = [{"tokens": document} for document in WHOLE]
    features = {"tokens": FeatureInfo("tokens", "uint8", VOCABULARY)}
    return Examples(write_examples(tmp_path_factory.mktemp("examples") / "x", features, {"train": rows}, 2), "train")


def test_example_steps_each_document_is_read_whole_from_a_zero_state(examples):
    steps = ExampleSteps(examples, end=END, batch_size=3, seed=1)
    read, filling = [], 0
    for step in steps.read(1):
        assert step.fresh
        assert step.window.inputs.shape[0] == 3
        assert step.window.inputs.shape[1] in (1 + 1, 2 + 1, 9 + 1)
        for inputs, targets, reset, weights in zip(*step.window, strict=True):
            length = int(weights.sum())
            assert weights[:length].all()
            if length:
                assert inputs[0] == END
                assert reset[0]
                assert targets[length - 1] == END
                np.testing.assert_array_equal(inputs[1:length], targets[: length - 1])
                read.append(inputs[1:length].tolist())
            else:
                filling += 1
    assert sorted(read) == sorted(WHOLE)
    assert filling == 2 + 2 + 2  # one document of no token, one of two, four of nine
    assert steps.count(1) == 1 + 1 + 2
    assert steps.total(3) == 3 * 4
    assert steps.timesteps == 9 + 1


def test_example_steps_order_is_that_of_the_epoch(examples):
    steps = ExampleSteps(examples, end=END, batch_size=1, seed=1)
    orders = [[step.window.inputs[0].tolist() for step in steps.read(epoch)] for epoch in range(1, 6)]

    assert [step.window.inputs[0].tolist() for step in steps.read(2)] == orders[1]
    assert [step.window.inputs[0].tolist() for step in steps.read(2, 2)] == orders[1][2:]
    assert len({str(order) for order in orders}) > 2
