"""The language model's probes: zeros whose gradients are those of the states."""

import numpy as np
import pytest
from keras import ops

from components.tasks.language_model import negative_log_likelihood
from components.trainer.backend import compile_gradient
from tests.testing import (
    forward,
    numeric_state_gradients,
    random_model,
    random_states,
    random_window,
    to_numpy,
)

BATCH, TIMESTEPS, VOCABULARY, UNITS, LAYERS = 3, 6, 7, 5, 2
COUNTED = np.random.default_rng(5).uniform(0.1, 1, (BATCH, TIMESTEPS)).astype("float32")


@pytest.fixture
def model():
    return random_model(VOCABULARY, UNITS, LAYERS)


@pytest.fixture
def window():
    return random_window(BATCH, TIMESTEPS, VOCABULARY)


def zeros():
    return [(np.zeros((BATCH, TIMESTEPS, UNITS), "float32"),) * 2 for _ in range(LAYERS)]


def test_language_model_probes_of_zeros_change_nothing(model, window):
    states = random_states(model, BATCH)

    probed, probed_states = model(window.inputs, states, reset=window.reset, probes=zeros())
    logits, final_states = model(window.inputs, states, reset=window.reset)

    np.testing.assert_array_equal(to_numpy(probed), to_numpy(logits))
    for actual, expected in zip(probed_states, final_states, strict=True):
        np.testing.assert_array_equal(to_numpy(actual), to_numpy(expected))


def test_language_model_shift_is_seen_above_and_not_carried(model, window):
    states = random_states(model, BATCH)
    shift = np.random.default_rng(6).normal(size=(BATCH, TIMESTEPS, UNITS)).astype("float32")
    top = [zeros()[0], (np.zeros_like(shift), shift)]

    logits, final_states = model(window.inputs, states, reset=window.reset, probes=top)

    weights = model.get_weights()
    expected, expected_states = forward(weights, window.inputs, states, window.reset)
    np.testing.assert_allclose(to_numpy(logits), expected + shift @ weights[-2], atol=5e-6)
    for actual, state in zip(final_states, expected_states, strict=True):
        np.testing.assert_allclose(to_numpy(actual), state, atol=2e-6)
    assert np.abs(shift @ weights[-2]).max() > 0.1  # guard: the shift matters


def test_language_model_probe_gradients_add_up_to_those_of_the_states(model, window):
    states = random_states(model, BATCH)
    weights = model.get_weights()

    def loss(probes, inputs, targets, reset, states):
        logits, _ = model(inputs, states, reset=reset, probes=probes)
        return ops.sum(negative_log_likelihood(logits, targets) * COUNTED)

    _, gradients = compile_gradient(model, loss)(zeros(), window.inputs, window.targets, window.reset, states)

    expected = numeric_state_gradients(weights, window, states, COUNTED)
    assert window.reset[:, 1:].any()
    for layer, (offset, shift) in enumerate(gradients):
        offset, total = to_numpy(offset), to_numpy(shift).copy()
        recurrent = offset[:, 1:] @ weights[3 * layer + 1].T
        unless_reset = recurrent * ~window.reset[:, 1:, None]
        np.testing.assert_allclose(total[:, :-1] + unless_reset, expected[layer][:, :-1], atol=1e-5)
        np.testing.assert_allclose(total[:, -1], expected[layer][:, -1], atol=1e-5)
        assert np.abs(recurrent - unless_reset).max() > 1e-2  # guard: resets cut something
        assert np.abs(unless_reset).max() > 1e-2
