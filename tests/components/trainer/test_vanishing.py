"""Pascanu's regulariser against its definition as NumPy loops in float64, and against numeric derivatives."""

import keras
import numpy as np
import pytest
from keras import ops

from components.trainer.backend import TrainStep, Update, compile_gradient
from components.trainer.probes import state_gradient, zero_probes
from components.trainer.vanishing import penalty
from components.transform.reader import Window
from tests.testing import random_model, random_states, random_window, to_numpy

BATCH, TIMESTEPS, UNITS = 3, 6, 4
RESET = np.zeros((BATCH, TIMESTEPS), bool)
RESET[0, 0] = RESET[1, 3] = RESET[2, TIMESTEPS - 1] = True


@pytest.fixture
def gradients():
    """dL/dh and dL/da, independent of each other, with a step where nothing flows."""
    random = np.random.default_rng(2)
    d_state, d_activation = random.normal(size=(2, BATCH, TIMESTEPS, UNITS)).astype("float32")
    d_state[1, 1] = d_activation[1, 1] = 0
    return d_state, d_activation


@pytest.fixture
def kernel():
    return np.random.default_rng(3).normal(size=(UNITS, UNITS), scale=0.6).astype("float32")


def numpy_penalty(kernel, d_state, d_activation, reset):
    terms = []
    for row, t in np.ndindex(*reset.shape):
        after = np.linalg.norm(d_state[row, t].astype("float64"))
        if reset[row, t] or after == 0:
            continue
        before = np.linalg.norm(kernel.astype("float64") @ d_activation[row, t].astype("float64"))
        terms.append((before / after - 1) ** 2)
    return np.mean(terms) if terms else 0.0


def value_and_gradient(kernel, d_state, d_activation, reset):
    value, gradient = compile_gradient(random_model(), penalty)(kernel, d_state, d_activation, reset)
    return float(value), to_numpy(gradient)


def test_penalty_equals_its_definition(kernel, gradients):
    value = float(penalty(kernel, *gradients, RESET))

    assert value == pytest.approx(numpy_penalty(kernel, *gradients, RESET), rel=1e-5)
    assert value != pytest.approx(numpy_penalty(kernel, *gradients, np.zeros_like(RESET)), rel=1e-2)  # guard


def test_penalty_derivative_equals_the_numeric_one(kernel, gradients):
    _, gradient = value_and_gradient(kernel, *gradients, RESET)

    numeric = np.zeros(kernel.shape)
    exact = kernel.astype("float64")
    for index in np.ndindex(*kernel.shape):
        step = np.zeros(kernel.shape)
        step[index] = 1e-6
        above, below = (numpy_penalty(exact + s, *gradients, RESET) for s in (step, -step))
        numeric[index] = (above - below) / 2e-6
    assert np.abs(numeric).max() > 0.1
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_penalty_takes_everything_but_the_kernel_for_a_constant(kernel, gradients):
    d_state, d_activation = gradients
    _, expected = value_and_gradient(kernel, d_state, d_activation, RESET)

    def through_the_gradients(kernel, d_state, d_activation, reset):
        one = 1 + ops.sum(kernel - ops.stop_gradient(kernel))
        return penalty(kernel, d_state, d_activation * one, reset)

    _, gradient = compile_gradient(random_model(), through_the_gradients)(kernel, d_state, d_activation, RESET)

    np.testing.assert_allclose(to_numpy(gradient), expected, rtol=1e-6)
    value = numpy_penalty(kernel, d_state, d_activation, RESET)
    assert abs(numpy_penalty(kernel, d_state, 1.01 * d_activation, RESET) - value) > 1e-3  # guard: it would matter


def test_penalty_is_zero_for_an_orthogonal_kernel_of_linear_units(gradients):
    orthogonal, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(UNITS, UNITS)))
    d_state, _ = gradients

    assert float(penalty(orthogonal.astype("float32"), d_state, d_state, RESET)) < 1e-10
    half = float(penalty(0.5 * orthogonal.astype("float32"), d_state, d_state, RESET))
    assert half == pytest.approx(0.25, rel=1e-5)  # (½ - 1)²


@pytest.mark.parametrize("scale", [1e-25, 1e15])
def test_penalty_of_gradients_whose_squares_are_no_numbers_is_the_same(scale, kernel, gradients):
    value, gradient = value_and_gradient(kernel, *gradients, RESET)

    scaled = [array * np.float32(scale) for array in gradients]
    with np.errstate(over="ignore"):
        assert np.square(scaled[0]).max() in (0.0, pytest.approx(1e30, rel=10))  # guard
    scaled_value, scaled_gradient = value_and_gradient(kernel, *scaled, RESET)

    assert scaled_value == pytest.approx(value, rel=1e-4)
    np.testing.assert_allclose(scaled_gradient, gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("nothing", ["total", "preactivation", "both", "all reset"])
def test_penalty_where_nothing_flows_is_finite_with_its_derivative(nothing, kernel, gradients):
    d_state, d_activation = (array.copy() for array in gradients)
    if nothing in ("total", "both"):
        d_state[:] = 0
    if nothing in ("preactivation", "both"):
        d_activation[:] = 0
    reset = np.ones_like(RESET) if nothing == "all reset" else RESET

    value, gradient = value_and_gradient(kernel, d_state, d_activation, reset)

    assert value == pytest.approx(1.0 if nothing == "preactivation" else 0.0)  # (0 - 1)² where all of it is lost
    np.testing.assert_array_equal(gradient, np.zeros_like(kernel))


# ---- In the training step -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [0, 3])
def test_train_step_adds_the_penalty_to_the_gradient_of_w_alone(context):
    window = random_window(3, 7, 6)
    updates = {}
    for weight in (None, 0.8):
        model = random_model(6, 5, 2)
        states = random_states(model, 3)
        rule = Update(lambda step: keras.ops.full((), 1.0), context=context, vanishing_penalty=weight)
        step = TrainStep(model, keras.optimizers.SGD(), rule)
        before = model.get_weights()
        step(window, states, 0)
        step.sync()
        updates[weight] = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
    model = random_model(6, 5, 2)
    # The gradients that Ω is made of, by the backend; Ω's own derivative, by central differences.
    states = random_states(model, 3)
    counted = float(np.prod(window.weights[:, context:].shape))

    def scaled(probes, *arrays):
        loss = model.loss_of(Window(*arrays[:4]), arrays[4], context=context, probes=probes)
        return loss.total / counted

    _, probe_gradients = compile_gradient(model, scaled)(zero_probes(model, 3, 7), *window, states)
    for layer, (offset, shift) in enumerate(probe_gradients):
        w = to_numpy(model.recurrent_layers[layer].cell.recurrent_kernel.value).astype("float64")
        total = to_numpy(state_gradient(w.astype("float32"), offset, shift, window.reset)).astype("float64")
        d_a = to_numpy(offset).astype("float64")
        kept = ~window.reset & (np.abs(total).max(axis=-1) > 1e-30)

        def omega(w, total=total, d_a=d_a, kept=kept):
            ratio = np.linalg.norm(d_a[kept] @ w.T, axis=-1) / np.linalg.norm(total[kept], axis=-1)
            return ((ratio - 1) ** 2).mean()

        expected = np.zeros_like(w)
        for place in np.ndindex(w.shape):
            above, below = w.copy(), w.copy()
            above[place] += 1e-5
            below[place] -= 1e-5
            expected[place] = 0.8 * (omega(above) - omega(below)) / 2e-5
        index = 3 * layer + 1
        added = updates[0.8][index] - updates[None][index]
        np.testing.assert_allclose(added, expected, atol=2e-5)
        assert np.abs(expected).max() > 1e-3  # guard: there is something to add
    for index in (0, 2, 3, 5, 6, 7):
        np.testing.assert_allclose(updates[0.8][index], updates[None][index], atol=1e-6)
