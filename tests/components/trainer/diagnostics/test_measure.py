"""The measures of a model, against NumPy loops and numeric derivatives, on the active backend."""

import json

import numpy as np
import pytest

from components.trainer.diagnostics.activity import activity
from components.trainer.diagnostics.measure import measurer, update_ratios
from tests.testing import (
    hidden_states,
    numeric_state_gradients,
    random_model,
    random_states,
    random_window,
    to_numpy,
)

BATCH, TIMESTEPS, VOCABULARY, UNITS, LAYERS = 4, 9, 8, 5, 2


@pytest.fixture(scope="module")
def model():
    return random_model(VOCABULARY, UNITS, LAYERS)


@pytest.fixture(scope="module")
def measure(model):
    return measurer(model)


@pytest.fixture
def window():
    """Resets in two rows, the lane of a third has ended, and the fourth is read from end to end."""
    drawn = random_window(BATCH, TIMESTEPS, VOCABULARY, end=-1)
    drawn.reset[0, 3] = drawn.reset[2, 0] = True
    drawn.inputs[drawn.reset] = 0
    assert drawn.weights[1, -1] == 0
    return drawn


def numpy_influence(model, window, states):
    """RMS over rows of ‖dL_t/dh_{t-k}‖ by numeric derivatives: [layers, lags]; and the rows of each lag."""
    last = np.zeros((BATCH, TIMESTEPS))
    last[:, -1] = 1
    gradients = numeric_state_gradients(model.get_weights(), window, states, last)
    curves = np.zeros((LAYERS, TIMESTEPS))
    rows = []
    for lag in range(TIMESTEPS):
        after = slice(TIMESTEPS - lag, TIMESTEPS)
        counted = [r for r in range(BATCH) if window.weights[r, -1] and not window.reset[r, after].any()]
        rows.append(len(counted))
        for layer in range(LAYERS):
            norms = np.linalg.norm(gradients[layer, counted, TIMESTEPS - 1 - lag], axis=-1)
            curves[layer, lag] = np.sqrt((norms**2).mean())
    return curves, rows


def test_measured_influence_equals_numeric_derivatives(model, measure, window):
    states = random_states(model, BATCH)

    found = measure(window, states)

    expected, rows = numpy_influence(model, window, states)
    assert found["lags"] == TIMESTEPS - 1
    assert found["rows"] == rows
    assert rows[0] == 3  # one row has no loss there
    assert rows[-1] == 2  # and one has begun in between; a reset at the first step takes nothing away
    for layer in range(LAYERS):
        np.testing.assert_allclose(found["layers"][layer]["influence"], expected[layer], rtol=2e-3, atol=1e-6)
        assert expected[layer].max() > 0.05  # guard


def test_measures_of_the_states_equal_numpy(model, measure, window):
    states = random_states(model, BATCH)

    found = measure(window, states)

    hidden, _ = hidden_states(model.get_weights(), window.inputs, states, window.reset)
    for layer in range(LAYERS):
        expected = activity(hidden[layer][window.weights > 0], "tanh")
        for name in ("mean", "std", "norm"):
            assert found["layers"][layer][name] == pytest.approx(expected[name], rel=1e-3, abs=1e-6)
        everywhere = activity(hidden[layer].reshape(-1, UNITS), "tanh")
        assert abs(everywhere["mean"] - expected["mean"]) > 1e-4  # guard: positions of weight 0 would show


def test_measures_of_the_kernels_are_those_of_each_layer(model, measure, window):
    found = measure(window)["layers"]

    for layer, measures in zip(model.recurrent_layers, found, strict=True):
        kernel = to_numpy(layer.cell.recurrent_kernel).astype("float64")
        assert measures["spectral_radius"] == pytest.approx(np.abs(np.linalg.eigvals(kernel)).max(), rel=1e-3)
        assert measures["largest_singular_value"] == pytest.approx(np.linalg.norm(kernel, 2), rel=1e-3)
        assert np.shape(measures["eigenvalues"]) == (UNITS, 2)
        assert np.shape(measures["singular_values"]) == (UNITS,)
    assert found[0]["spectral_radius"] != found[1]["spectral_radius"]


def test_measure_without_states_starts_at_zero(model, measure, window):
    zeros = [np.zeros((BATCH, UNITS), "float32") for _ in range(LAYERS)]

    assert measure(window) == measure(window, zeros)
    assert measure(window) != measure(window, random_states(model, BATCH))  # guard


def test_measure_reads_the_weights_of_each_call(window):
    model = random_model(VOCABULARY, UNITS, LAYERS)
    measure = measurer(model)
    before = measure(window)

    model.set_weights([1.5 * weight for weight in model.get_weights()])
    after = measure(window)

    expected, _ = numpy_influence(model, window, [np.zeros((BATCH, UNITS))] * LAYERS)
    np.testing.assert_allclose(after["layers"][0]["influence"], expected[0], rtol=2e-3, atol=1e-5)
    assert after["layers"][0]["mean"] != before["layers"][0]["mean"]


def test_measures_of_relu_units_find_the_dead_ones(window):
    model = random_model(VOCABULARY, UNITS, 1, activation="relu")
    kernel, recurrent_kernel, bias, *readout = model.get_weights()
    bias[:] = [-100, -100, 3, 3, 3]
    model.set_weights([kernel, 0 * recurrent_kernel, bias, *readout])

    found = measurer(model)(window)

    assert found["activation"] == "relu"
    assert found["layers"][0]["dead"] == pytest.approx(0.4)
    assert found["layers"][0]["saturated"] == pytest.approx(0.4)


def test_measures_of_weights_that_are_not_finite_are_null_and_json(window):
    model = random_model(VOCABULARY, UNITS, LAYERS)
    weights = model.get_weights()
    weights[1][0, 0] = np.nan
    model.set_weights(weights)

    found = measurer(model)(window)

    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    assert found["layers"][0]["spectral_radius"] is None
    assert found["layers"][0]["memory_length"] is None
    assert found["layers"][0]["mean"] is None


def test_measures_in_mixed_bfloat16_are_near_those_in_float32(model, measure, window):
    half = random_model(VOCABULARY, UNITS, LAYERS, dtype="mixed_bfloat16")

    found = measurer(half)(window)

    expected = measure(window)
    for actual, exact in zip(found["layers"], expected["layers"], strict=True):
        np.testing.assert_allclose(actual["influence"], exact["influence"], rtol=0.2, atol=0.02)
        assert actual["norm"] == pytest.approx(exact["norm"], rel=0.02)


def test_update_ratios_are_norms_of_change_over_norms():
    before = {"kernel": np.array([[3.0, 4.0]], "float32"), "bias": np.zeros(2, "float32")}
    after = {"kernel": np.array([[3.0, 4.5]], "float32"), "bias": np.ones(2, "float32")}

    assert update_ratios(before, after) == {"kernel": 0.1, "bias": None}
