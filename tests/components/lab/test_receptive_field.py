"""Influence by lag of recurrent and convolutional networks, against formulas."""

import numpy as np

from components.lab import receptive_field
from components.lab.layers import rnn
from tests.components.lab import reference


def test_influence_of_an_rnn_equals_the_products_of_its_jacobians():
    timesteps, features, units = 5, 3, 4
    layer = rnn(units, features, seed=0)
    weights = reference.random_weights(layer)
    sequences = np.random.default_rng(2).normal(size=(2, timesteps, features)).astype("float32")

    found = receptive_field.influence(layer, layer, units, sequences)

    squares = []
    for sequence in sequences.astype(float):
        h = reference.states(weights, sequence, "tanh")
        of_states = reference.jacobians(weights, sequence, "tanh")  # [timesteps, units, units]
        of_inputs = of_states * (1 - h[:, None] ** 2) @ np.asarray(weights[0], float).T  # [timesteps, units, features]
        squares.append((of_inputs**2).sum(axis=(1, 2)))
    np.testing.assert_allclose(found, np.sqrt(np.mean(squares, axis=0))[::-1], rtol=1e-4)


def test_receptive_field_of_convolutions_ends_at_two_lags_for_each():
    figures = receptive_field.measure(seed=1, depths=(1, 3), timesteps=10, units=4, batch=2)
    np.testing.assert_array_equal(figures.reach, [2, 6])
    for row, reach in zip(figures.cnn, figures.reach, strict=True):
        assert (row[: reach + 1] > 0).all()
        assert (row[reach + 1 :] == 0).all()
    assert (figures.rnn > 0).all()
