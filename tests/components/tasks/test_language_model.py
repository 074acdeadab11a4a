"""The language model: its equations, its states, its resets, its files."""

import itertools

import keras
import numpy as np
import pytest

from components.tasks import files, language_model
from components.tasks.language_model import LanguageModel
from tests.testing import forward, random_model, random_states, to_numpy

BATCH, TIMESTEPS, VOCABULARY, UNITS = 3, 8, 6, 5
TOKENS = np.random.default_rng(3).integers(0, VOCABULARY, (BATCH, TIMESTEPS)).astype("int32")
RESET = np.zeros((BATCH, TIMESTEPS), bool)
RESET[0, 0] = RESET[1, 3] = RESET[1, 6] = RESET[2, TIMESTEPS - 1] = True


@pytest.fixture(scope="module")
def model():
    return random_model(VOCABULARY, UNITS, layers=2)


@pytest.fixture
def states(model):
    return random_states(model, BATCH)


def assert_same(actual, expected, atol=2e-6):
    np.testing.assert_allclose(to_numpy(actual), to_numpy(expected), rtol=0, atol=atol)


def test_language_model_with_resets_equals_numpy_loops(model, states):
    logits, final_states = model(TOKENS, states, reset=RESET)

    expected_logits, expected_states = forward(model.get_weights(), TOKENS, states, RESET)
    assert_same(logits, expected_logits)
    for state, expected in zip(final_states, expected_states, strict=True):
        assert_same(state, expected)
    without, _ = forward(model.get_weights(), TOKENS, states)
    assert np.abs(without - expected_logits).max() > 0.1  # guard: the resets matter


@pytest.mark.parametrize("layers", [1, 3])
def test_language_model_of_any_depth_equals_numpy_loops(layers):
    model = random_model(VOCABULARY, UNITS, layers)
    states = random_states(model, BATCH)

    logits, final_states = model(TOKENS, states)

    expected_logits, expected_states = forward(model.get_weights(), TOKENS, states)
    assert len(final_states) == layers
    assert_same(logits, expected_logits)
    assert_same(final_states[-1], expected_states[-1])


def test_language_model_two_carried_windows_equal_one_pass(model, states):
    whole, whole_states = model(TOKENS, states, reset=RESET)

    first, carried = model(TOKENS[:, :3], states, reset=RESET[:, :3])
    second, final_states = model(TOKENS[:, 3:], carried, reset=RESET[:, 3:])

    assert_same(np.concatenate([to_numpy(first), to_numpy(second)], axis=1), whole)
    for state, expected in zip(final_states, whole_states, strict=True):
        assert_same(state, expected)
    dropped, _ = model(TOKENS[:, 3:], model.initial_states(BATCH), reset=RESET[:, 3:])
    assert np.abs(to_numpy(dropped) - to_numpy(second)).max() > 0.1  # guard: what is carried matters


def test_language_model_reset_after_other_data_equals_fresh_state(model, states):
    fresh, fresh_states = model(TOKENS, model.initial_states(BATCH))
    _, carried = model(TOKENS[:, ::-1].copy(), states)
    opening = np.zeros((BATCH, TIMESTEPS), bool)
    opening[:, 0] = True

    logits, final_states = model(TOKENS, carried, reset=opening)

    assert_same(logits, fresh, atol=0)
    assert_same(final_states[1], fresh_states[1], atol=0)
    without, _ = model(TOKENS, carried)
    assert np.abs(to_numpy(without) - to_numpy(fresh)).max() > 0.1  # guard: not resetting differs


def test_language_model_rows_with_resets_equal_each_document_alone(model, states):
    logits, _ = model(TOKENS, states, reset=RESET)

    for row in range(BATCH):
        borders = [0, *np.flatnonzero(RESET[row]), TIMESTEPS]
        for number, (start, stop) in enumerate(itertools.pairwise(borders)):
            if start == stop:
                continue
            opened = number > 0
            before = model.initial_states(1) if opened else [state[row : row + 1] for state in states]
            alone, _ = model(TOKENS[row : row + 1, start:stop], before)
            assert_same(logits[row : row + 1, start:stop], alone)


def test_language_model_layers_start_with_different_weights():
    model = LanguageModel(VOCABULARY, VOCABULARY, layers=2)  # layers of one shape

    first, second = (layer.get_weights() for layer in model.recurrent_layers)

    assert np.abs(first[0] - second[0]).max() > 0.01
    assert np.abs(first[1] - second[1]).max() > 0.01


def test_language_model_seed_decides_initial_weights():
    first, again, other = (LanguageModel(VOCABULARY, UNITS, 2, seed=seed).get_weights() for seed in (4, 4, 5))

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


def test_language_model_saved_and_loaded_has_equal_tensors(model, tmp_path, states):
    files.save(model, tmp_path)

    loaded = files.load(tmp_path)

    assert len(loaded.get_weights()) == 8
    for actual, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert_same(loaded(TOKENS, states, reset=RESET)[0], model(TOKENS, states, reset=RESET)[0], atol=0)
    untrained = LanguageModel(VOCABULARY, UNITS, 2).get_weights()
    assert not np.array_equal(untrained[0], loaded.get_weights()[0])  # guard: a fresh model would not do


def test_language_model_saved_and_loaded_keeps_activation(tmp_path, states):
    files.save(random_model(VOCABULARY, UNITS, 2, activation="relu"), tmp_path)

    loaded = files.load(tmp_path)

    final_states = to_numpy(loaded(TOKENS, states)[1][0])
    assert final_states.min() == 0
    assert final_states.max() > 1  # what tanh cannot give


def test_language_model_config_round_trip_builds_the_same_architecture(model):
    again = LanguageModel.from_config(model.get_config())

    assert [weight.shape for weight in again.get_weights()] == [weight.shape for weight in model.get_weights()]
    assert again.get_config() == model.get_config()


def test_load_folder_without_model_raises_naming_it(tmp_path):
    with pytest.raises(ValueError, match=f"(?s)must hold a readable model.json.*{tmp_path.name}.*Run the trainer"):
        files.load(tmp_path)


def test_language_model_mixed_bfloat16_gives_float32_logits():
    model = random_model(VOCABULARY, UNITS, 2, dtype="mixed_bfloat16")

    logits, final_states = model(TOKENS, model.initial_states(BATCH), reset=RESET)

    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert keras.backend.standardize_dtype(final_states[0].dtype) == "bfloat16"
    zeros = [np.zeros((BATCH, UNITS))] * 2
    expected, _ = forward(model.get_weights(), TOKENS, zeros, RESET)
    difference = np.abs(to_numpy(logits) - expected).max()
    assert 1e-5 < difference < 0.1  # computed in bfloat16, and right


def test_language_model_initial_states_are_zero_for_each_layer(model):
    states = model.initial_states(BATCH)

    assert [tuple(state.shape) for state in states] == [(BATCH, UNITS)] * 2
    assert not any(to_numpy(state).any() for state in states)


def test_negative_log_likelihood_equals_log_softmax():
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 3, 5), scale=20).astype("float32")
    targets = random.integers(0, 5, (2, 3)).astype("int32")

    nats = to_numpy(language_model.negative_log_likelihood(logits, targets))

    exact = logits.astype("float64")
    expected = np.logaddexp.reduce(exact, axis=-1) - np.take_along_axis(exact, targets[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(nats, expected, rtol=1e-6, atol=1e-6)
    assert expected.max() > 20  # guard: beyond what ln(1e-7), a clipped probability, could give
