"""The compiled training step against back-propagation through time written out in NumPy, in float64."""

import keras
import numpy as np
import pytest

from components.trainer.backend import TrainStep, Update, compile_inference
from components.transform.reader import Window
from tests.testing import (
    back_propagation,
    forward,
    negative_log_likelihood,
    random_model,
    random_states,
    random_window,
    to_numpy,
)

BATCH, LENGTH, VOCABULARY, UNITS = 3, 7, 6, 5


def constant(rate):
    return lambda step: keras.ops.full((), rate)


def one_step(model, window, states, **clip):
    """Takes one SGD step at learning rate 1, and returns by how much each weight fell, and what the step returned."""
    before = model.get_weights()
    step = TrainStep(model, keras.optimizers.SGD(), Update(constant(1.0), **clip))
    states, result = step(window, states, 0)
    step.sync()
    return [old - new for old, new in zip(before, model.get_weights(), strict=True)], states, result


def largest_difference(left, right):
    return max(float(np.abs(a - b).max()) for a, b in zip(left, right, strict=True))


def global_norm(gradients):
    return float(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))


# ---- The reference itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
def test_numpy_back_propagation_equals_central_differences(layers):
    weights = [np.asarray(w, "float64") for w in random_model(4, 3, layers).get_weights()]
    window = random_window(2, 5, 4)
    states = [np.full((2, 3), 0.4)] * layers
    _, gradients, _ = back_propagation(weights, window, states)

    def loss():
        logits, _ = forward(weights, window.inputs, states, window.reset)
        return (negative_log_likelihood(logits, window.targets) * window.weights).sum() / window.weights.size

    for weight, gradient in zip(weights, gradients, strict=True):
        for index in np.ndindex(weight.shape):
            kept = weight[index]
            weight[index] = kept + 1e-6
            above = loss()
            weight[index] = kept - 1e-6
            below = loss()
            weight[index] = kept
            assert gradient[index] == pytest.approx((above - below) / 2e-6, abs=1e-8)


# ---- One window -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
def test_train_step_sgd_equals_numpy_back_propagation(layers):
    model = random_model(VOCABULARY, UNITS, layers)
    states = random_states(model, BATCH)
    window = random_window(BATCH, LENGTH, VOCABULARY)
    nats, expected, final_states = back_propagation(model.get_weights(), window, states)

    update, carried, result = one_step(model, window, states)

    assert largest_difference(update, expected) < 1e-6
    assert min(np.abs(gradient).max() for gradient in expected) > 1e-3  # guard: every variable has a gradient
    for state, reference in zip(carried, final_states, strict=True):
        np.testing.assert_allclose(to_numpy(state), reference, atol=2e-6)
    assert float(result.loss) == pytest.approx(nats, rel=1e-5)
    assert float(result.count) == window.weights.sum()
    assert window.weights.sum() < window.weights.size
    assert float(result.gradient_norm) == pytest.approx(global_norm(expected), rel=1e-5)


def test_train_step_ignored_reset_flags_or_weights_or_states_give_other_numbers():
    model = random_model(VOCABULARY, UNITS, layers=2)
    states = random_states(model, BATCH)
    window = random_window(BATCH, LENGTH, VOCABULARY)
    _, expected, _ = back_propagation(model.get_weights(), window, states)

    for change in ({"reset": np.zeros_like(window.reset)}, {"weights": np.ones_like(window.weights)}):
        _, other, _ = back_propagation(model.get_weights(), window._replace(**change), states)
        assert largest_difference(other, expected) > 1e-2  # guard for the test above
    _, other, _ = back_propagation(model.get_weights(), window, [np.zeros_like(state) for state in states])
    assert largest_difference(other, expected) > 1e-3


def test_train_step_reset_flags_ignored_trains_differently():
    window = random_window(BATCH, LENGTH, VOCABULARY)
    ignored = window._replace(reset=np.zeros_like(window.reset))

    updates = []
    for each in (window, ignored):
        model = random_model(VOCABULARY, UNITS, layers=1)
        updates.append(one_step(model, each, random_states(model, BATCH))[0])

    assert largest_difference(*updates) > 1e-2


# ---- Two windows ----------------------------------------------------------------------------------------------------


def test_train_step_second_window_cuts_the_gradient_at_its_edge():
    model = random_model(VOCABULARY, UNITS, layers=2)
    states = random_states(model, BATCH)
    first = random_window(BATCH, LENGTH, VOCABULARY, seed=2)
    second = random_window(BATCH, LENGTH, VOCABULARY, seed=9)
    second.reset[:, :2] = False  # the first steps depend on what came before
    step = TrainStep(model, keras.optimizers.SGD(), Update(constant(1.0)))
    carried, _ = step(first, states, 0)
    # The first step donates its states on JAX: what it returned is read before it is passed on.
    carried = [to_numpy(state) for state in carried]
    step.sync()
    before = model.get_weights()
    _, expected, _ = back_propagation(before, second, carried)

    step(second, carried, 1)
    step.sync()
    update = [old - new for old, new in zip(before, model.get_weights(), strict=True)]

    assert largest_difference(update, expected) < 1e-6
    # Guard: back-propagation through both windows is something else, and so is a state that is not carried.
    both = Window(*(np.concatenate(pair, axis=1) for pair in zip(first, second, strict=True)))
    both.weights[:, :LENGTH] = 0
    _, full, _ = back_propagation(before, both, states)
    assert largest_difference(expected, [2 * gradient for gradient in full]) > 1e-3
    _, fresh, _ = back_propagation(before, second, [np.zeros_like(state) for state in carried])
    assert largest_difference(expected, fresh) > 1e-3


def test_train_step_carried_states_equal_one_long_forward_pass():
    model = random_model(VOCABULARY, UNITS, layers=2)
    states = random_states(model, BATCH)
    window = random_window(BATCH, 2 * LENGTH, VOCABULARY)
    step = TrainStep(model, keras.optimizers.SGD(), Update(constant(1e-30)))  # the weights stay what they are
    weights = model.get_weights()

    for half in (slice(0, LENGTH), slice(LENGTH, None)):
        states, _ = step(Window(*(part[:, half] for part in window)), states, 0)

    _, expected = forward(weights, window.inputs, random_states(model, BATCH), window.reset)
    for state, reference in zip(states, expected, strict=True):
        np.testing.assert_allclose(to_numpy(state), reference, atol=2e-6)


# ---- Clipping -------------------------------------------------------------------------------------------------------

CLIPS = {
    "clipvalue": lambda gradients, c: [np.clip(gradient, -c, c) for gradient in gradients],
    "clipnorm": lambda gradients, c: [
        gradient * min(1, c / float(np.sqrt((gradient**2).sum()))) for gradient in gradients
    ],
    "global_clipnorm": lambda gradients, c: [gradient * min(1, c / global_norm(gradients)) for gradient in gradients],
}


@pytest.mark.parametrize("clip", CLIPS)
def test_train_step_clipping_equals_numpy(clip):
    model = random_model(VOCABULARY, UNITS, layers=2)
    states = random_states(model, BATCH)
    window = random_window(BATCH, LENGTH, VOCABULARY)
    _, gradients, _ = back_propagation(model.get_weights(), window, states)
    # A bound between the extremes: some elements or variables are clipped, others are not.
    bounds = {
        "clipvalue": np.median(np.abs(np.concatenate([gradient.ravel() for gradient in gradients]))),
        "clipnorm": np.median([np.sqrt((gradient**2).sum()) for gradient in gradients]),
        "global_clipnorm": 0.5 * global_norm(gradients),
    }
    bound = float(bounds[clip])
    expected = {name: function(gradients, bound) for name, function in CLIPS.items()}

    update, _, result = one_step(model, window, states, **{clip: bound})

    assert largest_difference(update, expected[clip]) < 1e-6
    assert largest_difference(update, gradients) > 1e-3  # guard: the bound clips
    for name in set(CLIPS) - {clip}:
        assert largest_difference(expected[name], expected[clip]) > 1e-3  # guard: the three differ
    assert float(result.gradient_norm) == pytest.approx(global_norm(gradients), rel=1e-5)  # before clipping


def test_train_step_generous_clipping_changes_nothing():
    window = random_window(BATCH, LENGTH, VOCABULARY)
    model = random_model(VOCABULARY, UNITS, layers=2)
    states = random_states(model, BATCH)
    _, expected, _ = back_propagation(model.get_weights(), window, states)

    update, _, _ = one_step(model, window, states, global_clipnorm=100.0)

    assert largest_difference(update, expected) < 1e-6


# ---- Precision and inference ----------------------------------------------------------------------------------------


def test_train_step_mixed_bfloat16_updates_float32_weights_near_the_exact_gradient():
    model = random_model(VOCABULARY, UNITS, layers=1, dtype="mixed_bfloat16")
    window = random_window(BATCH, LENGTH, VOCABULARY)
    zeros = [np.zeros((BATCH, UNITS))]
    _, expected, _ = back_propagation(model.get_weights(), window, zeros)

    update, _, result = one_step(model, window, model.initial_states(BATCH))

    assert {weight.dtype.name for weight in model.get_weights()} == {"float32"}
    assert 1e-5 < largest_difference(update, expected) < 2e-2
    assert float(result.loss) > 0


def test_compile_inference_reads_the_weights_of_each_call():
    model = random_model(VOCABULARY, UNITS, layers=1)
    tokens = random_window(BATCH, LENGTH, VOCABULARY).inputs
    compiled = compile_inference(model, lambda tokens, states: model(tokens, states)[0])
    first = to_numpy(compiled(tokens, model.initial_states(BATCH)))

    model.set_weights([2 * weight for weight in model.get_weights()])
    second = to_numpy(compiled(tokens, model.initial_states(BATCH)))

    expected, _ = forward(model.get_weights(), tokens, [np.zeros((BATCH, UNITS))])
    np.testing.assert_allclose(second, expected, atol=5e-6)
    assert np.abs(first - second).max() > 0.1
