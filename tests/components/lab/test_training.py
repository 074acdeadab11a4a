"""What the demonstrations train: figures that are what they say, and that order as the demonstrations claim."""

import math

import numpy as np
import pytest
from keras import ops

from components.lab import adding, bias, generalisation, training, truncation
from components.lab.layers import rnn
from components.lab.problems import ADDING_BASELINE
from components.trainer.backend import compile_gradient
from tests.components.lab import reference
from tests.testing import to_numpy


@pytest.mark.slow
def test_learn_begins_near_the_bits_of_a_uniform_guess_and_ends_below():
    random = np.random.default_rng(0)
    tokens = np.cumsum(random.integers(1, 3, (320, 9)), axis=1) % 8  # 1 bit a step: up by one or by two
    windows = (np.eye(8, dtype="float32")[tokens[:, :-1]], tokens[:, 1:].astype("int32"))
    curves = training.learn(windows, windows, units=16, epochs=25, seed=0)
    assert curves.train.shape == curves.test.shape == (25,)
    assert 2 < curves.train[0] < math.log2(8) + 0.5
    assert 0.95 < curves.test[-1] < 1.2


@pytest.mark.slow
def test_generalisation_more_units_fit_train_better_and_widen_the_gap():
    figures = generalisation.measure(seed=0, units=(4, 64), epochs=40, characters=2000)
    gap = (figures.test - figures.train)[:, -1]
    assert figures.train[1, -1] < figures.train[0, -1] - 0.5
    assert gap[1] > gap[0] + 0.2


@pytest.mark.parametrize("activation", bias.ACTIVATIONS)
def test_bias_influence_equals_the_products_of_jacobians(activation):
    layer = rnn(4, 3, seed=0, activation=activation)
    weights = reference.random_weights(layer)
    sequences = np.random.default_rng(2).normal(size=(2, 6, 3)).astype("float32")
    squares = [(reference.jacobians(weights, row.astype(float), activation) ** 2).sum(axis=(1, 2)) for row in sequences]
    expected = np.sqrt(np.mean(squares, axis=0) / 4)[::-1]
    assert expected[0] == 1
    assert expected[-1] != pytest.approx(1, abs=0.1)  # guard
    np.testing.assert_allclose(bias.influence(layer, sequences), expected, rtol=1e-4)


@pytest.mark.slow
def test_bias_sigmoid_is_all_positive_fades_by_a_quarter_and_learns_later():
    tanh, sigmoid = range(2)
    figures = bias.measure(seed=0, units=32, epochs=20, characters=8000, lags=6)
    assert abs(figures.mean[tanh]) < 0.1 < 0.4 < figures.mean[sigmoid]
    assert (figures.influence[sigmoid] <= 0.25 ** np.arange(6) * 1.0001).all()  # W is orthogonal: ‖W‖ = 1
    assert figures.influence[tanh, -1] > 10 * figures.influence[sigmoid, -1]
    assert figures.train[tanh, -1] < figures.train[sigmoid, -1] - 0.1


@pytest.mark.parametrize("k2", [1, 2, 4, 5])
def test_truncated_states_send_gradients_back_to_the_edge_of_their_window_only(k2):
    layer = rnn(4, 3, seed=0, return_sequences=True, return_state=True)
    weights = reference.random_weights(layer)
    sequences = np.random.default_rng(2).normal(size=(1, 5, 3)).astype("float32")

    def last_unit(sequences):
        return truncation.truncated_states(layer, sequences, k2)[0, -1, 0]

    gradient = to_numpy(compile_gradient(layer, last_unit)(sequences)[1])[0]

    h = reference.states(weights, sequences[0].astype(float), "tanh")
    of_states = reference.jacobians(weights, sequences[0].astype(float), "tanh")[:, 0]  # [timesteps, units]
    expected = of_states * (1 - h**2) @ np.asarray(weights[0], float).T
    edge = 4 // k2 * k2  # where the last window begins
    assert np.abs(expected).min() > 0  # guard: without truncation every input has a gradient
    np.testing.assert_allclose(gradient[edge:], expected[edge:], rtol=1e-4)
    np.testing.assert_array_equal(gradient[:edge], 0)


def test_truncated_states_are_those_of_the_whole_sequence():
    layer = rnn(4, 3, seed=0, return_sequences=True, return_state=True)
    weights = reference.random_weights(layer)
    sequences = np.random.default_rng(2).normal(size=(2, 5, 3)).astype("float32")
    found = to_numpy(truncation.truncated_states(layer, ops.convert_to_tensor(sequences), 2))
    expected = [reference.states(weights, row.astype(float), "tanh") for row in sequences]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_copying_is_learnt_with_a_truncation_beyond_the_lag_and_not_with_one_within():
    assert truncation.copy_accuracy(lag=8, k2=12, seed=0, steps=1000) > 0.95
    assert truncation.copy_accuracy(lag=8, k2=4, seed=0, steps=1000) < 0.75


def test_adding_by_truncated_back_propagation_improves_on_the_baseline_and_full_does_so_more():
    short, full = (truncation.adding_error(8, k2, seed=0, steps=500) for k2 in (1, 8))
    assert full < short < ADDING_BASELINE


@pytest.mark.slow
def test_adding_irnn_falls_far_below_the_baseline():
    figures = adding.measure(
        0, lambda line: None, timesteps=8, points=4, units=24, learning_rate=5e-3, steps_per_point=200
    )
    np.testing.assert_array_equal(figures.steps, [200, 400, 600, 800])
    assert figures.error["irnn"][0] > 0.5 * ADDING_BASELINE  # guard: it is not small from the start
    assert figures.error["irnn"][-1] < 0.3 * ADDING_BASELINE
