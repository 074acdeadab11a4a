"""Statistics of states, by literal examples."""

import numpy as np
import pytest

from components.trainer.diagnostics.activity import BINS, activity


@pytest.mark.parametrize(
    ("activation", "states", "saturated"),
    [
        ("tanh", [0.991, -0.995, 0.98, 0.0], 0.5),
        ("sigmoid", [0.005, 0.995, 0.02, 0.5], 0.5),
        ("hard_sigmoid", [0.0, 1.0, 0.001, 0.5], 0.5),
        ("relu", [0.0, 0.0, 0.0, 3.0], 0.75),
        ("linear", [100.0, -100.0, 0.0, 1.0], 0.0),
        ("elu", [0.0, 1.0, 2.0, -1.0], None),
    ],
)
def test_activity_counts_saturated_states_as_the_activation_has_them(activation, states, saturated):
    assert activity(np.array([states], "float32"), activation)["saturated"] == saturated


def test_activity_dead_units_are_zero_at_every_position():
    states = np.array([[0, 0, 1, 0], [0, 2, 1, 0]], "float32")

    assert activity(states, "relu")["dead"] == 0.5
    assert activity(states, "tanh")["dead"] is None


def test_activity_statistics_equal_numpy():
    states = np.random.default_rng(0).uniform(-1, 1, (7, 5)).astype("float32")

    found = activity(states, "tanh")

    exact = states.astype("float64")
    assert found["mean"] == pytest.approx(sum(exact.ravel()) / 35)
    assert found["std"] == pytest.approx(np.sqrt(((exact - exact.mean()) ** 2).mean()))
    assert found["norm"] == pytest.approx(np.mean([np.sqrt((row**2).sum()) for row in exact]))


def test_activity_histogram_covers_the_range_of_the_activation():
    found = activity(np.array([[-0.999, 0.0, 0.999, 0.999]], "float32"), "tanh")["histogram"]

    assert (found["low"], found["high"], len(found["shares"])) == (-1.0, 1.0, BINS)
    assert (found["shares"][0], found["shares"][-1], sum(found["shares"])) == (0.25, 0.5, 1.0)


def test_activity_histogram_of_unbounded_states_covers_what_there_is():
    found = activity(np.array([[0.0, 1.0, 8.0]], "float32"), "relu")["histogram"]

    assert (found["low"], found["high"], sum(found["shares"])) == (0.0, 8.0, pytest.approx(1.0))


@pytest.mark.parametrize("states", [np.full((2, 3), np.nan, "float32"), np.zeros((0, 3), "float32")])
def test_activity_of_nothing_that_can_be_measured_is_none(states):
    assert set(activity(states, "tanh").values()) == {None}
