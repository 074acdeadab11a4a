"""From the gradients of the probes to those of the states."""

import numpy as np

from components.trainer.probes import state_gradient, zero_probes
from tests.testing import random_model, to_numpy

BATCH, TIMESTEPS, UNITS = 3, 5, 4


def test_state_gradient_equals_loops_and_is_cut_at_resets():
    random = np.random.default_rng(0)
    kernel = random.normal(size=(UNITS, UNITS)).astype("float32")
    offset, shift = random.normal(size=(2, BATCH, TIMESTEPS, UNITS)).astype("float32")
    reset = np.zeros((BATCH, TIMESTEPS), bool)
    reset[0, 0] = reset[1, 2] = reset[2, TIMESTEPS - 1] = True

    actual = to_numpy(state_gradient(kernel, offset, shift, reset))

    expected = shift.astype("float64")
    for row, t in np.ndindex(BATCH, TIMESTEPS - 1):
        if not reset[row, t + 1]:
            expected[row, t] += kernel.astype("float64") @ offset[row, t + 1]
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    uncut = to_numpy(state_gradient(kernel, offset, shift, np.zeros_like(reset)))
    assert np.abs(uncut[1, 1] - actual[1, 1]).max() > 0.1  # guard: the resets matter


def test_zero_probes_are_a_pair_for_each_layer():
    probes = zero_probes(random_model(units=UNITS, layers=3), BATCH, TIMESTEPS)

    assert [len(pair) for pair in probes] == [2, 2, 2]
    assert {(array.shape, array.dtype.name, array.any()) for pair in probes for array in pair} == {
        ((BATCH, TIMESTEPS, UNITS), "float32", np.False_)
    }
