"""The gradient of each state: against back-propagation through time written out in NumPy."""

import numpy as np
from keras import ops

from components.lab import inputs
from components.lab.layers import rnn, state_gradients
from tests.components.lab import reference

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 6, 3, 4


def test_state_gradients_equal_back_propagation_in_numpy():
    layer = rnn(UNITS, FEATURES, seed=0)
    weights = reference.random_weights(layer)
    random = np.random.default_rng(1)
    sequences = random.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype("float32")
    direct = random.normal(size=(BATCH, TIMESTEPS, UNITS)).astype("float32")  # L = Σ direct ∘ h: dL/dh_t from outside

    found = state_gradients(layer, sequences, lambda states: ops.sum(states * direct))

    expected = np.zeros((BATCH, TIMESTEPS, UNITS))
    for row in range(BATCH):
        for last in range(TIMESTEPS):
            jacobians = reference.jacobians(weights, sequences[row, : last + 1].astype(float), "tanh")
            expected[row, : last + 1] += np.einsum("i,tij->tj", direct[row, last], jacobians)
    assert np.abs(expected - direct).max() > 0.1  # guard: later timesteps count
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_inputs_loss_at_the_end_fades_and_loss_at_every_step_does_not():
    figures = inputs.measure(seed=1, timesteps=15, units=6, batch=3, gain=0.7)
    assert figures.many_to_one.shape == figures.many_to_many.shape == (15,)
    assert figures.many_to_one[0] < 0.01 * figures.many_to_one[-1]
    assert figures.many_to_many[0] > 0.1 * figures.many_to_many[-1]
    np.testing.assert_allclose(figures.many_to_one[-1], figures.many_to_many[-1], rtol=1e-5)
