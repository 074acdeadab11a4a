"""Dropout of the language model: which values are dropped, how often drawn, how scaled, from which seed, and when."""

import numpy as np
import pytest

from components.tasks.language_model import LanguageModel
from components.trainer.backend import compile_inference
from tests.components.tasks.variants import DROPOUT, UNITS, VARIANTS, VOCABULARY, forward, next_masks, ones, variant
from tests.testing import random_model, random_states, to_numpy

BATCH, TIMESTEPS = 20, 9
TOKENS = np.random.default_rng(3).integers(0, VOCABULARY, (BATCH, TIMESTEPS)).astype("int32")
RATE = 0.4
KEPT = 1 / (1 - RATE)


def transparent(kernel, recurrent_kernel, layers=1, **arguments):
    """A linear model of UNITS tokens without bias: x_t is all ones, and the logits are the state."""
    model = LanguageModel(UNITS, UNITS, layers, "linear", embedding=UNITS, **arguments)
    unit, zero = np.eye(UNITS), np.zeros(UNITS)
    layer = [kernel * unit, recurrent_kernel * unit, zero]
    model.set_weights([np.ones((UNITS, UNITS)), *layer * layers, unit, zero])
    return model


def logits_of(model, states, **arguments):
    tokens = np.zeros((BATCH, TIMESTEPS), "int32")
    return to_numpy(model(tokens, states, training=True, **arguments)[0]).astype("float64")


def zero_states(layers=1):
    return [np.zeros((BATCH, UNITS), "float32")] * layers


def assert_drawn(mask, kept=KEPT, rate=RATE):
    """Zeros, and the reciprocal of what is left; about as many as asked for; not the same in every row."""
    np.testing.assert_allclose(mask[mask != 0], kept, rtol=1e-5)
    spread = np.sqrt(rate * (1 - rate) / mask.size)
    assert abs((mask == 0).mean() - rate) < 5 * spread
    assert np.ptp(mask, axis=0).max() > 0


# ---- What is drawn --------------------------------------------------------------------------------------------------


def test_input_dropout_is_drawn_for_each_timestep_of_what_a_layer_reads():
    mask = logits_of(transparent(1.0, 0.0, input_dropout=RATE), zero_states())

    assert_drawn(mask)
    assert (np.ptp(mask, axis=1) > 0).mean() > 0.9  # along the timesteps


def test_input_dropout_is_drawn_for_each_layer():
    mask = logits_of(transparent(1.0, 0.0, layers=2, input_dropout=RATE), zero_states(2))

    assert_drawn(mask, KEPT**2, 1 - (1 - RATE) ** 2)  # one draw for both would keep as many as one layer does


def test_input_dropout_of_one_hot_inputs_leaves_out_tokens():
    model = random_model(VOCABULARY, UNITS, 1, input_dropout=RATE)
    kernel = np.eye(VOCABULARY)[:, :UNITS] * 0.5
    model.recurrent_layers[0].set_weights([kernel, np.zeros((UNITS, UNITS)), np.zeros(UNITS)])
    tokens = np.zeros((BATCH, TIMESTEPS), "int32")

    mask = []
    for t in range(TIMESTEPS):
        _, (state,) = model(tokens[:, t : t + 1], zero_states(), training=True)
        mask.append(np.arctanh(to_numpy(state)[:, :1]) / 0.5)

    assert_drawn(np.stack(mask, axis=1))


def test_recurrent_dropout_is_one_draw_for_all_timesteps():
    states = [np.random.default_rng(1).uniform(0.5, 1, (BATCH, UNITS)).astype("float32")]

    logits = logits_of(transparent(0.0, 1.0, recurrent_dropout=RATE), states)

    mask = logits[:, 0] / states[0]
    assert_drawn(mask)
    powers = np.arange(1, TIMESTEPS + 1)
    np.testing.assert_allclose(logits, states[0][:, None] * mask[:, None] ** powers[:, None], rtol=1e-5)


def test_recurrent_dropout_is_drawn_for_each_layer_and_call():
    model = variant("all", **{**DROPOUT, "recurrent_dropout": RATE})

    first, second = (next_masks(model, BATCH, 1)["recurrent"] for _ in range(2))
    assert_drawn(first[0])
    assert_drawn(first[1])
    assert not np.array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0], second[0])  # looking does not draw
    model(TOKENS, random_states(model, BATCH), training=True)
    assert not np.array_equal(first[0], next_masks(model, BATCH, 1)["recurrent"][0])


def test_output_dropout_is_drawn_for_each_timestep_of_what_the_readout_reads():
    states = [np.random.default_rng(1).uniform(0.5, 1, (BATCH, UNITS)).astype("float32")]
    model = transparent(0.0, 1.0, output_dropout=RATE)
    tokens = np.zeros((BATCH, TIMESTEPS), "int32")

    logits, (final_state,) = model(tokens, states, training=True)

    mask = to_numpy(logits).astype("float64") / states[0][:, None]
    assert_drawn(mask)
    assert (np.ptp(mask, axis=1) > 0).mean() > 0.9
    np.testing.assert_array_equal(to_numpy(final_state), states[0])  # what is carried is not dropped


# ---- The numbers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", ["skip", "all"])
def test_dropout_equals_numpy_loops_with_the_masks_read_back(name, compiled):
    model = variant(name, seed=0, **DROPOUT)
    states = random_states(model, BATCH)
    reset = np.zeros(TOKENS.shape, bool)
    reset[0, 4] = reset[3, 0] = True
    call = lambda tokens, reset, *states: model(tokens, list(states), reset=reset, training=True)  # noqa: E731
    # Under XLA, TensorFlow's generator draws other numbers: the masks are read in the same manner.
    run = (lambda function: compile_inference(model, function)()) if compiled else (lambda function: function())
    masks = next_masks(model, BATCH, TIMESTEPS, run)

    logits, final_states = (compile_inference(model, call) if compiled else call)(TOKENS, reset, *states)

    expected, expected_states = forward(model, TOKENS, states, reset, masks)
    np.testing.assert_allclose(to_numpy(logits), expected, rtol=0, atol=1e-5)
    for state, reference in zip(final_states, expected_states, strict=True):
        np.testing.assert_allclose(to_numpy(state), reference, rtol=0, atol=1e-5)  # processors round differently
    for place in masks:  # guard: each of the three matters
        other, _ = forward(model, TOKENS, states, reset, {**masks, place: ones(model, BATCH, TIMESTEPS)[place]})
        assert np.abs(other - expected).max() > 0.1


# ---- Seeds ----------------------------------------------------------------------------------------------------------


def test_dropout_seed_decides_every_mask_of_a_training():
    def three_calls(seed):
        model = LanguageModel(VOCABULARY, UNITS, 2, seed=seed, **VARIANTS["all"], **DROPOUT)
        model.set_weights(variant("all").get_weights())
        states = random_states(model, BATCH)
        return [to_numpy(model(TOKENS, states, training=True)[0]) for _ in range(3)]

    first, again, other = three_calls(2**31 - 1), three_calls(2**31 - 1), three_calls(5)

    np.testing.assert_array_equal(first, again)
    assert np.abs(first[0] - other[0]).max() > 0.1
    assert np.abs(first[0] - first[1]).max() > 0.1
    assert np.abs(first[1] - first[2]).max() > 0.1


def test_dropout_stateless_call_returns_the_generators_of_the_next_one():
    model = variant("all", **DROPOUT)
    states = random_states(model, BATCH)
    trainable = [variable.value for variable in model.trainable_variables]
    generators = [variable.value for variable in model.non_trainable_variables]

    (first, _), advanced = model.stateless_call(trainable, generators, TOKENS, states, training=True)
    (again, _), _ = model.stateless_call(trainable, generators, TOKENS, states, training=True)
    (second, _), _ = model.stateless_call(trainable, advanced, TOKENS, states, training=True)

    np.testing.assert_array_equal(to_numpy(first), to_numpy(again))
    assert np.abs(to_numpy(first) - to_numpy(second)).max() > 0.1
    for before, after in zip(generators, advanced, strict=True):
        assert not np.array_equal(to_numpy(before), to_numpy(after))


# ---- Evaluation -----------------------------------------------------------------------------------------------------


def test_dropout_evaluation_is_untouched_and_draws_nothing():
    dropping, plain = variant("all", **DROPOUT), variant("all")
    states = random_states(plain, BATCH)
    before = [to_numpy(variable) for variable in dropping.non_trainable_variables]

    logits, final_states = dropping(TOKENS, states)

    expected, expected_states = plain(TOKENS, states)
    np.testing.assert_array_equal(to_numpy(logits), to_numpy(expected))
    np.testing.assert_array_equal(to_numpy(final_states[1]), to_numpy(expected_states[1]))
    for variable, reference in zip(dropping.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(to_numpy(variable), reference)
    in_training = to_numpy(dropping(TOKENS, states, training=True)[0])
    assert np.abs(in_training - to_numpy(expected)).max() > 0.1  # guard: training differs


def test_no_dropout_training_equals_evaluation():
    model = variant("all")
    states = random_states(model, BATCH)

    logits, _ = model(TOKENS, states, training=True)

    np.testing.assert_array_equal(to_numpy(logits), to_numpy(model(TOKENS, states)[0]))
