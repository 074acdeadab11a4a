"""Several devices against one, on virtual devices of this CPU; the numbers are computed by `devices_process.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from components.tasks import files
from components.trainer import replicas
from components.trainer.backend.update import own_generator
from components.trainer.checkpoints import decode
from tests.components.trainer.devices_process import (
    BAD_STATE,
    BATCH,
    BOUND,
    CONTEXT,
    LENGTH,
    NOT_FINITE,
    STOPPED_AT,
    VOCABULARY_SIZE,
    steps_window,
)
from tests.testing import back_propagation, random_model, random_states, to_numpy

SOURCE_ROOT = Path(__file__).resolve().parents[3]
NATS, TOKENS, GRADIENT_NORM, LEARNING_RATE, BAD_ROWS = range(5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the process wrote."""
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("devices_process.py")), str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE_ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def of_one_and_two(folder, name):
    """The arrays of the step on one device, and on two."""
    one, two = (dict(np.load(folder / f"{name}-{devices}.npz")) for devices in (1, 2))
    assert one.keys() == two.keys()
    return one, two


def assert_close(one, two):
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


# ---- Steps ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["skip", "kick"])
def test_train_step_on_two_devices_equals_one(folder, policy):
    one, two = of_one_and_two(folder, policy)

    assert_close(one, two)
    assert sum(name.startswith("read.") for name in one) > 3 * sum(name.startswith("weight.") for name in one)
    results = one["results"]
    finite = np.arange(len(results)) != NOT_FINITE
    assert np.isfinite(results[finite]).all()
    assert np.isnan(results[NOT_FINITE, [NATS, GRADIENT_NORM]]).all()
    assert (results[:, BAD_ROWS] == (np.arange(len(results)) == BAD_STATE)).all()
    assert (results[finite, GRADIENT_NORM] > BOUND).all()  # the bound clips


@pytest.mark.slow
def test_train_step_on_two_devices_that_is_not_finite_is_skipped_or_kicked_by_both(folder):
    (_, skipped), (_, kicked) = of_one_and_two(folder, "skip"), of_one_and_two(folder, "kick")

    weights = [name for name in skipped if name.startswith("weight.")]
    assert all(np.isfinite(skipped[name]).all() for name in weights)
    # Guard: the kick is large enough to be seen, so replicas that were kicked apart would have been, too.
    assert max(np.abs(skipped[name] - kicked[name]).max() for name in weights) > 1e-2


def test_half_of_the_rows_alone_have_another_gradient():
    """Guard for the tests above: a sum over one device only, or a mean of the devices' means, would not pass."""
    model, window = random_model(VOCABULARY_SIZE), steps_window(0)
    states = random_states(model, BATCH)
    window.weights[:, :CONTEXT] = 0
    _, whole, _ = back_propagation(model.get_weights(), window, states)
    halves, tokens = [], []
    for rows in (slice(0, 2), slice(2, 4)):
        part = type(window)(*(array[rows] for array in window))
        halves.append(back_propagation(model.get_weights(), part, [state[rows] for state in states])[1])
        tokens.append(part.weights.sum())

    assert tokens[0] != tokens[1]
    for i, gradient in enumerate(whole):
        np.testing.assert_allclose((halves[0][i] + halves[1][i]) / 2, gradient, atol=1e-12)
        scale = (LENGTH - CONTEXT) * 2 / np.array(tokens)
        for other in (*(half[i] for half in halves), (scale[0] * halves[0][i] + scale[1] * halves[1][i]) / 2):
            assert np.abs(other - gradient).max() > 1e-3


# ---- Dropout --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_train_step_on_two_devices_drops_other_units_on_each(folder):
    _, two = of_one_and_two(folder, "dropout")

    for step in range(2):
        first, second = np.split(two[f"state.{step}.1"], 2)
        assert np.abs(first - second).max(axis=1).min() > 1e-2


@pytest.mark.slow
def test_train_step_on_two_devices_moves_the_random_generators_as_one_does(folder):
    one, two = of_one_and_two(folder, "dropout")

    np.testing.assert_array_equal(two["generators"], one["generators"])
    assert one["generators"].tolist() == [[0, 2], [1, 2]]  # two steps, a mask each


def test_own_generator_of_the_first_replica_is_the_models_and_others_have_other_seeds():
    state = to_numpy(keras.random.SeedGenerator(7).state.value) + 0

    states = [to_numpy(own_generator(state, np.int32(replica))) for replica in range(9)]

    np.testing.assert_array_equal(states[0], state)
    assert all(each[1] == state[1] for each in states)
    seeds = np.array([int(each[0]) for each in states])
    assert np.abs(seeds[:, None] - seeds)[~np.eye(9, dtype=bool)].min() > 1000


# ---- Trainings ------------------------------------------------------------------------------------------------------


def read_series(training):
    entries = [json.loads(line) for line in (training / "history.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def figures(entry):
    return {**{key: entry[key] for key in ("nats", "gradient_norm") if key in entry}, **entry.get("eval", {})}


def newest(training):
    return decode(sorted((training / "work").glob("*.ckpt"))[-1].read_bytes())


def floats(checkpoint):
    return {name: array for name, array in checkpoint.arrays.items() if array.dtype.kind == "f"}


@pytest.mark.slow
@pytest.mark.parametrize("training", ["whole-2", "from-2-to-1", "from-2-to-2", "from-1-to-2"])
def test_train_on_two_devices_ends_as_on_one(folder, training):
    expected, found = newest(folder / "whole-1"), newest(folder / training)

    assert found.step == expected.step > STOPPED_AT
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in floats(expected).items():
        np.testing.assert_allclose(found.arrays[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
    for mine, one in zip(read_series(folder / training), read_series(folder / "whole-1"), strict=True):
        assert mine.keys() == one.keys()
        assert (mine["epoch"], mine["step"]) == (one["epoch"], one["step"])
        assert figures(mine) == pytest.approx(figures(one), rel=1e-5)
    weights = [files.load(folder / each).get_weights() for each in (training, "whole-1")]
    for mine, one in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, one, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_train_on_two_devices_stopped_and_gone_on_with_equals_the_uninterrupted_bit_for_bit(folder):
    whole, continued = newest(folder / "whole-2"), newest(folder / "from-2-to-2")

    for name, array in floats(whole).items():
        np.testing.assert_array_equal(continued.arrays[name], array, err_msg=name)
    assert read_series(folder / "from-2-to-2") == read_series(folder / "whole-2")


@pytest.mark.slow
def test_train_checkpoint_of_two_devices_holds_the_states_of_all_rows(folder):
    arrays = newest(folder / "whole-2").arrays

    states = [arrays[name] for name in sorted(arrays) if name.startswith("state.")]
    assert [state.shape for state in states] == [(4, 5), (4, 5)]
    assert np.abs(states[0][:, None] - states[0]).max(axis=-1)[~np.eye(4, dtype=bool)].min() > 1e-3


# ---- How many -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("devices", "available", "expected"), [(1, 8, 1), (2, 8, 2), ("all", 4, 4), ("all", 1, 1)])
def test_count_is_what_was_asked_for(devices, available, expected):
    assert replicas.count(devices, available, 8, "") == expected


def test_count_of_more_than_there_are_says_how_many_and_how_to_try():
    with pytest.raises(
        ValueError, match=r"must be at most 2, the .* Received: trainer\.devices=4\. .*virtual ones of a CPU: ask\."
    ):
        replicas.count(4, 2, 8, "ask")


@pytest.mark.parametrize(
    ("devices", "received"), [(3, r"devices=3 for 64 rows"), ("all", r"devices='all' \(3 of them\) for 64 rows")]
)
def test_count_that_does_not_divide_the_rows_says_so(devices, received):
    with pytest.raises(ValueError, match=rf"divided evenly .* Received: trainer\.{received}\. .* a divisor of 64"):
        replicas.count(devices, 3, 64, "")
