"""Initialisers of the recurrent kernel: eigenvalues, seeds, configuration, and what they do to a state over time."""

import keras
import numpy as np
import pytest

from custom_layers import SpectralRadius, VanillaRNN

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

UNITS, FEATURES = 24, 3


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def radius_of(matrix):
    return np.abs(np.linalg.eigvals(array(matrix))).max()


@pytest.mark.parametrize("radius", [0.5, 1, 1.1])
def test_spectral_radius_is_the_largest_modulus_of_an_eigenvalue(radius):
    matrix = SpectralRadius(radius, seed=3)((UNITS, UNITS))
    assert keras.backend.standardize_dtype(matrix.dtype) == "float32"
    assert radius_of(matrix) == pytest.approx(radius, rel=1e-5)
    assert abs(array(matrix).mean()) < 0.05  # both signs, no preferred direction
    assert np.linalg.matrix_rank(array(matrix)) == UNITS


def test_spectral_radius_same_seed_draws_the_same_and_no_seed_anew():
    first, second = (array(SpectralRadius(seed=5)((4, 4))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - array(SpectralRadius(seed=6)((4, 4)))).max() > 0.1
    assert np.abs(array(SpectralRadius()((4, 4))) - array(SpectralRadius()((4, 4)))).max() > 0.01


def test_spectral_radius_in_a_layer_survives_config_and_saving(tmp_path):
    layer = VanillaRNN(UNITS, recurrent_initializer=SpectralRadius(0.9, seed=1))
    model = keras.Sequential([keras.Input((None, FEATURES)), layer])
    assert radius_of(layer.get_weights()[1]) == pytest.approx(0.9, rel=1e-5)
    copy = VanillaRNN.from_config(layer.get_config())
    copy.build((None, None, FEATURES))
    np.testing.assert_array_equal(copy.get_weights()[1], layer.get_weights()[1])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].recurrent_initializer.get_config() == {"radius": 0.9, "seed": 1}


@pytest.mark.parametrize(
    ("initializer", "activation", "least", "most"),
    [
        (SpectralRadius(0.7, seed=2), "linear", 0, 1e-4),  # 0.7^50 = 2e-8, times what a non-normal matrix adds
        (SpectralRadius(1.3, seed=2), "linear", 1e4, np.inf),  # 1.3^50 = 5e5
        ("orthogonal", "linear", 0.999, 1.001),
        ("identity", "relu", 0.999, 1.001),  # the IRNN keeps a non-negative state as it is
        (keras.initializers.Identity(0.5), "relu", 0, 1e-12),
    ],
)
def test_state_of_an_undriven_layer_grows_or_shrinks_with_its_initializer(initializer, activation, least, most):
    layer = VanillaRNN(UNITS, activation=activation, recurrent_initializer=initializer)
    state = np.abs(np.random.default_rng(0).normal(size=(1, UNITS))).astype("float32")
    final = array(layer(np.zeros((1, 50, FEATURES), "float32"), initial_state=state))
    assert least <= np.linalg.norm(final) / np.linalg.norm(state) <= most


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SpectralRadius(0), ValueError, r"radius must be a positive number. Received: radius=0. Pass 1.0"),
        (lambda: SpectralRadius(float("nan")), ValueError, "Received: radius=nan"),
        (lambda: SpectralRadius("1"), TypeError, "Received: radius='1'"),
        (lambda: SpectralRadius()((3, 4)), ValueError, r"shape must be square, .* Received: shape=\(3, 4\)"),
    ],
)
def test_spectral_radius_of_bad_arguments_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
