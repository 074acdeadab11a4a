"""The offset of VanillaRNN: what it adds, in which order, and what its gradient is."""

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 7, 4, 5
EPSILON = 1e-6


@pytest.fixture
def data(example):
    """Sequences, weights, and what the layer is called with; nothing of it is zero."""
    random = np.random.default_rng(11)
    drawn = example(timesteps=TIMESTEPS, dtype="float64", batch=BATCH, units=UNITS)
    return {
        "sequences": random.normal(size=(BATCH, TIMESTEPS, FEATURES)),
        "weights": [random.normal(size=(FEATURES, UNITS)), drawn["recurrent_kernel"], random.normal(size=UNITS)],
        "offset": random.normal(size=(BATCH, TIMESTEPS, UNITS)),
        **{name: drawn[name] for name in ("initial_state", "reset", "mask")},
    }


def expected_states(data, offset, numpy_recurrence, go_backwards=False):
    """The states by NumPy, in the order that the layer gives them in."""
    kernel, recurrent_kernel, bias = data["weights"]
    projected = data["sequences"] @ kernel + bias + offset
    order = slice(None, None, -1 if go_backwards else 1)
    flags = (data["reset"][:, order], data["mask"][:, order])
    return numpy_recurrence(projected[:, order], data["initial_state"], recurrent_kernel, "tanh", *flags)


def layer_of(data, dtype="float64", **arguments):
    layer = VanillaRNN(UNITS, return_sequences=True, dtype=dtype, **arguments)
    layer.build((BATCH, TIMESTEPS, FEATURES))
    layer.set_weights(data["weights"])
    return layer


def call(layer, data, offset):
    keywords = {name: data[name] for name in ("initial_state", "reset", "mask")}
    return layer(data["sequences"], offset=offset, **keywords)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_offset_is_added_before_the_activation_at_each_timestep(go_backwards, data, numpy_recurrence, float64):
    states = call(layer_of(data, go_backwards=go_backwards), data, data["offset"])

    expected = expected_states(data, data["offset"], numpy_recurrence, go_backwards)
    np.testing.assert_allclose(np.asarray(states), expected, rtol=0, atol=1e-12)
    for other in (0 * data["offset"], data["offset"][:, ::-1]):  # guard: it matters, and so does its order
        assert np.abs(expected_states(data, other, numpy_recurrence, go_backwards) - expected).max() > 1e-2


@pytest.mark.parametrize("go_backwards", [False, True])
def test_offset_of_one_timestep_is_added_at_all_of_them(
    go_backwards, data, numpy_recurrence, value_and_gradients, compiling_mode, float64
):
    weights = np.random.default_rng(1).normal(size=(BATCH, TIMESTEPS, UNITS))
    layer = layer_of(data, go_backwards=go_backwards)
    one, spread = data["offset"][:, 2:3], np.repeat(data["offset"][:, 2:3], TIMESTEPS, axis=1)

    states, (gradient,) = value_and_gradients(lambda o: call(layer, data, o), [one], compiling_mode, weights)
    _, (of_each,) = value_and_gradients(lambda o: call(layer, data, o), [spread], compiling_mode, weights)

    expected = expected_states(data, spread, numpy_recurrence, go_backwards)
    np.testing.assert_allclose(states, expected, rtol=0, atol=1e-12)
    assert gradient.shape == (BATCH, 1, UNITS)
    np.testing.assert_allclose(gradient, of_each.sum(axis=1, keepdims=True), rtol=0, atol=1e-12)
    assert np.abs(expected_states(data, data["offset"], numpy_recurrence, go_backwards) - expected).max() > 1e-2


def test_offset_of_zeros_changes_nothing(data):
    layer = layer_of(data, dtype="float32")

    np.testing.assert_array_equal(
        np.asarray(call(layer, data, np.zeros((BATCH, TIMESTEPS, UNITS)))), np.asarray(call(layer, data, None))
    )


@pytest.mark.parametrize("go_backwards", [False, True])
def test_gradient_of_the_offset_equals_the_numeric_one(
    go_backwards, data, numpy_recurrence, value_and_gradients, compiling_mode, float64
):
    weights = np.random.default_rng(1).normal(size=(BATCH, TIMESTEPS, UNITS))
    layer = layer_of(data, go_backwards=go_backwards)

    output, (gradient,) = value_and_gradients(
        lambda offset: call(layer, data, offset), [data["offset"]], compiling_mode, weights
    )

    numeric = np.zeros_like(data["offset"])
    for index in np.ndindex(*numeric.shape):
        step = np.zeros_like(numeric)
        step[index] = EPSILON
        above, below = (
            (expected_states(data, data["offset"] + s, numpy_recurrence, go_backwards) * weights).sum()
            for s in (step, -step)
        )
        numeric[index] = (above - below) / (2 * EPSILON)
    assert output.dtype == gradient.dtype == np.float64
    assert np.abs(numeric).max() > 1e-2
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-7)


def test_offset_of_a_functional_model_is_an_input_like_the_others(data, numpy_recurrence):
    inputs = [keras.Input((None, FEATURES)), keras.Input((None, UNITS))]
    layer = VanillaRNN(UNITS, return_sequences=True)
    model = keras.Model(inputs, layer(inputs[0], offset=inputs[1]))
    layer.set_weights(data["weights"])

    states = model([data["sequences"], data["offset"]])

    nothing = np.zeros((BATCH, TIMESTEPS), bool)
    plain = {**data, "initial_state": np.zeros((BATCH, UNITS)), "reset": nothing, "mask": ~nothing}
    expected = expected_states(plain, data["offset"], numpy_recurrence)
    np.testing.assert_allclose(np.asarray(states), expected, rtol=0, atol=2e-6)


def test_offset_in_mixed_bfloat16_is_cast_to_the_compute_dtype(data):
    states = call(layer_of(data, dtype="mixed_bfloat16"), data, data["offset"])

    assert keras.backend.standardize_dtype(states.dtype) == "bfloat16"
