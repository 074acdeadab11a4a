"""keras.layers.Bidirectional around VanillaRNN: each row is read in both directions at its own length."""

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

TIMESTEPS, FEATURES, UNITS = 7, 4, 5
LENGTHS = np.array([7, 3, 1, 6])
MASK = np.arange(TIMESTEPS) < LENGTHS[:, None]


def array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def sequences():
    """Random, and large behind the end of a row, where nothing may be read."""
    x = np.random.default_rng(0).normal(size=(len(LENGTHS), TIMESTEPS, FEATURES)).astype("float32")
    return np.where(MASK[:, :, None], x, 50).astype("float32")


def initial_states():
    random = np.random.default_rng(4)
    return [random.uniform(-0.9, 0.9, (len(LENGTHS), UNITS)).astype("float32") for _ in range(2)]


def bidirectional(**arguments):
    """The wrapper with random weights, biases included."""
    layer = keras.layers.Bidirectional(VanillaRNN(UNITS, return_state=True, **arguments), merge_mode="concat")
    layer.build((len(LENGTHS), TIMESTEPS, FEATURES))
    random = np.random.default_rng(1)
    layer.set_weights([0.6 * random.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def by_rows(layer, x, initial):
    """Both directions as NumPy loops over each row's own timesteps; outputs in the order of time."""
    weights = [weight.astype("float64") for weight in layer.get_weights()]
    outputs, finals = np.zeros((*x.shape[:2], 2 * UNITS)), np.zeros((2, len(x), UNITS))
    for direction, (kernel, recurrent_kernel, bias) in enumerate((weights[:3], weights[3:])):
        units = slice(direction * UNITS, (direction + 1) * UNITS)
        for b, length in enumerate(LENGTHS):
            h = initial[direction][b].astype("float64")
            for t in range(length) if direction == 0 else reversed(range(length)):
                h = np.tanh(x[b, t] @ kernel + h @ recurrent_kernel + bias)
                outputs[b, t, units] = h
            finals[direction, b] = h
    return outputs, finals


@pytest.mark.parametrize("given", [False, True])
def test_bidirectional_with_a_mask_equals_two_loops_over_each_row(given):
    layer, x = bidirectional(return_sequences=True), sequences()
    initial = initial_states() if given else np.zeros((2, len(LENGTHS), UNITS), "float32")

    outputs, forward, backward = layer(x, mask=MASK, initial_state=initial_states() if given else None)

    expected, finals = by_rows(layer, x, initial)
    np.testing.assert_allclose(array(outputs)[MASK], expected[MASK], rtol=0, atol=1e-5)
    np.testing.assert_allclose(array(forward), finals[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(array(backward), finals[1], rtol=0, atol=1e-5)
    unmasked = array(layer(x)[0])  # guard: the padding would be read
    assert np.abs(unmasked[MASK] - expected[MASK]).max() > 0.1


def test_bidirectional_of_last_outputs_with_a_mask_equals_two_loops_over_each_row():
    layer, x = bidirectional(), sequences()

    output, *states = layer(x, mask=MASK)

    _, finals = by_rows(layer, x, np.zeros((2, len(LENGTHS), UNITS)))
    np.testing.assert_allclose(array(output), np.concatenate(finals, axis=-1), rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.stack([array(state) for state in states]), finals, rtol=0, atol=1e-5)


def test_bidirectional_padded_rows_equal_those_read_alone():
    layer, x = bidirectional(return_sequences=True), sequences()
    initial = initial_states()

    outputs, *states = layer(x, mask=MASK, initial_state=initial)

    for b, length in enumerate(LENGTHS):
        alone = layer(x[b : b + 1, :length], initial_state=[state[b : b + 1] for state in initial])
        np.testing.assert_allclose(array(outputs)[b, :length], array(alone[0])[0], rtol=0, atol=1e-5)
        for state, expected in zip(states, alone[1:], strict=True):
            np.testing.assert_allclose(array(state)[b], array(expected)[0], rtol=0, atol=1e-5)


def test_bidirectional_gradient_is_zero_behind_the_end_of_a_row(value_and_gradients, compiling_mode):
    layer, x = bidirectional(return_sequences=True), sequences()
    weights = np.random.default_rng(2).normal(size=(len(LENGTHS), TIMESTEPS, 2 * UNITS)).astype("float32")

    _, (gradient,) = value_and_gradients(
        lambda x: layer(x, mask=MASK)[0], [x], compiling_mode, weights * MASK[..., None]
    )

    assert (gradient[~MASK] == 0).all()
    for b, length in enumerate(LENGTHS):
        _, (alone,) = value_and_gradients(
            lambda x: layer(x)[0], [x[b : b + 1, :length]], "eager", weights[b : b + 1, :length]
        )
        assert np.abs(alone).max() > 1e-3
        np.testing.assert_allclose(gradient[b, :length], alone[0], rtol=0, atol=1e-5)


def test_stacked_bidirectional_layers_need_the_mask_at_each():
    """The outputs behind the end are zeros; what keeps the next layer from reading them as inputs is its mask."""
    first = bidirectional(return_sequences=True)
    second = keras.layers.Bidirectional(VanillaRNN(3, return_sequences=True, return_state=True))
    x = sequences()

    outputs, *states = second(first(x, mask=MASK)[0], mask=MASK)

    for b, length in enumerate(LENGTHS):
        alone = second(first(x[b : b + 1, :length])[0])
        np.testing.assert_allclose(array(outputs)[b, :length], array(alone[0])[0], rtol=0, atol=1e-5)
        for state, expected in zip(states, alone[1:], strict=True):
            np.testing.assert_allclose(array(state)[b], array(expected)[0], rtol=0, atol=1e-5)
