"""StopHead and LengthHead: values, losses and their gradients, rounding, dtypes, saving."""

import keras
import numpy as np
import pytest

from custom_layers import LengthHead, StopHead

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BATCH, TIMESTEPS, UNITS = 3, 6, 5


def array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(head, dtype="float32"):
    head = head(dtype=dtype)
    head.build((None, UNITS))
    head.set_weights([normal(UNITS, 1, seed=8), np.array([0.7])])
    return head


@pytest.mark.parametrize("head", [StopHead, LengthHead])
@pytest.mark.parametrize("shape", [(BATCH, TIMESTEPS), (BATCH,)])
def test_head_gives_one_affine_number_for_each_vector(head, shape):
    head, states = built(head), normal(*shape, UNITS)

    found = array(head(states))

    assert found.shape == shape
    np.testing.assert_allclose(found, states @ normal(UNITS, 1, seed=8)[:, 0] + 0.7, rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", [StopHead, LengthHead])
def test_head_in_mixed_bfloat16_answers_in_float32(head):
    states = keras.ops.cast(normal(BATCH, UNITS), "bfloat16")

    found = built(head, "mixed_bfloat16")(states)

    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    exact = array(keras.ops.cast(states, "float32")) @ normal(UNITS, 1, seed=8)[:, 0] + 0.7
    np.testing.assert_allclose(array(found), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("head", [StopHead, LengthHead])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_head_in_a_model_survives_saving(head, dtype, tmp_path):
    inputs = keras.Input((UNITS,))
    outputs = head(dtype=dtype)(inputs)
    assert (tuple(outputs.shape), outputs.dtype) == ((None,), "float32")
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")

    loaded = keras.models.load_model(tmp_path / "model.keras")

    np.testing.assert_array_equal(array(loaded(normal(BATCH, UNITS))), array(model(normal(BATCH, UNITS))))
    assert isinstance(loaded.layers[-1], head)


def test_stop_loss_equals_the_cross_entropy_of_each_step_times_its_weight(value_and_gradients, mode):
    log_odds, weights = 3 * normal(BATCH, TIMESTEPS), normal(BATCH, TIMESTEPS, seed=1) ** 2
    weights[1, 3:] = 0
    stops = np.arange(TIMESTEPS) == np.array([[5], [2], [0]])

    loss, (gradient,) = value_and_gradients(lambda z: StopHead.loss(z, stops, weights), [log_odds], mode)

    s = 1 / (1 + np.exp(-log_odds.astype("float64")))
    np.testing.assert_allclose(loss, -weights * np.log(np.where(stops, s, 1 - s)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, weights * (s - stops), rtol=1e-4, atol=1e-6)
    assert (loss[1, 3:] == 0).all()


def test_stop_loss_of_extreme_log_odds_is_finite():
    loss = array(StopHead.loss(np.array([[200.0, -200.0]], "float32"), np.array([[0, 1]]), np.ones((1, 2))))

    np.testing.assert_allclose(loss, [[200, 200]])


def test_length_loss_is_the_squared_error_of_the_logarithm(value_and_gradients, mode):
    log_length, lengths = np.array([0.5, 3.0, -1.0], "float32"), np.array([1, 12, 7], "int32")

    loss, (gradient,) = value_and_gradients(lambda x: LengthHead.loss(x, lengths), [log_length], mode)

    error = log_length - np.log(lengths)
    np.testing.assert_allclose(loss, error**2, rtol=1e-5)
    np.testing.assert_allclose(gradient, 2 * error, rtol=1e-5)


def test_length_is_rounded_and_bounded():
    predicted = np.array([-1e9, -3, np.log(2.4), np.log(2.6), np.log(29.6), np.log(31), 200, np.inf], "float32")

    lengths = array(LengthHead.length(predicted, 30))

    assert lengths.dtype == np.int32
    np.testing.assert_array_equal(lengths, [1, 1, 2, 3, 30, 30, 30, 30])
    np.testing.assert_array_equal(
        array(LengthHead.length(np.log(np.arange(1, 200.0)).astype("float32"), 199)), range(1, 200)
    )
    with pytest.raises(ValueError, match="LengthHead: maximum must be a positive integer"):
        LengthHead.length(predicted, 0)
