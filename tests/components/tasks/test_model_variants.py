"""The model's options: embedding, tied readout, skip connections, initial W; in equations, weights, files, recipes."""

import json

import keras
import numpy as np
import pytest

from components.tasks import files, language_model
from components.tasks.language_model import LanguageModel
from custom_layers import SpectralRadius
from pipeline.config import ModelConfig
from tests.components.tasks.variants import BATCH, DROPOUT, TIMESTEPS, UNITS, VARIANTS, VOCABULARY, forward, variant
from tests.testing import random_model, random_states, to_numpy

TOKENS = np.random.default_rng(3).integers(0, VOCABULARY, (BATCH, TIMESTEPS)).astype("int32")
RESET = np.zeros((BATCH, TIMESTEPS), bool)
RESET[0, 0] = RESET[1, 3] = RESET[1, 6] = RESET[2, TIMESTEPS - 1] = True


def shapes(model):
    return [weight.shape for weight in model.get_weights()]


def recurrent_kernels(**arguments):
    model = LanguageModel(VOCABULARY, UNITS, layers=3, **arguments)
    return [layer.get_weights()[1] for layer in model.recurrent_layers]


# ---- Equations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", VARIANTS)
def test_language_model_variant_equals_numpy_loops(name, layers):
    model = variant(name, layers)
    states = random_states(model, BATCH)

    logits, final_states = model(TOKENS, states, reset=RESET)

    expected, expected_states = forward(model, TOKENS, states, RESET)
    np.testing.assert_allclose(to_numpy(logits), expected, rtol=0, atol=5e-6)
    for state, reference in zip(final_states, expected_states, strict=True):
        np.testing.assert_allclose(to_numpy(state), reference, rtol=0, atol=2e-6)
    without, _ = forward(model, TOKENS, states)
    assert np.abs(without - expected).max() > 0.1  # guard: the resets matter


@pytest.mark.parametrize("layers", [2, 3])
def test_language_model_skip_connections_feed_x_to_every_layer_after_the_first(layers):
    model = variant("embedding and skip", layers)
    states = random_states(model, BATCH)
    before = to_numpy(model(TOKENS, states)[0])

    for number, layer in enumerate(model.recurrent_layers[1:], start=1):
        kernel, *others = layer.get_weights()
        cut = kernel.copy()
        cut[UNITS:] = 0  # the rows that x_t meets
        layer.set_weights([cut, *others])
        after = to_numpy(model(TOKENS, states)[0])
        assert np.abs(after - before).max() > 0.05, f"layer {number} does not read x"
        layer.set_weights([kernel, *others])


def test_language_model_tied_readout_moves_with_the_table():
    model = variant("tied")
    states = random_states(model, BATCH)
    table, *others = model.get_weights()
    unread = np.flatnonzero(~np.isin(np.arange(VOCABULARY), TOKENS[:, :2]))
    before = to_numpy(model(TOKENS[:, :2], states)[0])

    table[unread] += 1.0  # rows that nothing looked up
    model.set_weights([table, *others])

    moved = np.abs(to_numpy(model(TOKENS[:, :2], states)[0]) - before).max(axis=(0, 1))
    assert len(unread) > 0
    assert (moved[unread] > 0.01).all()
    assert (np.delete(moved, unread) == 0).all()


def test_language_model_all_on_in_bfloat16_gives_float32_logits():
    model = variant("all", dtype="mixed_bfloat16")
    states = random_states(model, BATCH)

    logits, final_states = model(TOKENS, states, reset=RESET)

    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert keras.backend.standardize_dtype(final_states[0].dtype) == "bfloat16"
    expected, _ = forward(model, TOKENS, states, RESET)
    difference = np.abs(to_numpy(logits) - expected).max()
    assert 1e-5 < difference < 0.1  # computed in bfloat16, and right


# ---- Weights --------------------------------------------------------------------------------------------------------


def test_language_model_default_weights_are_kernels_and_biases_in_this_order():
    expected = {
        "recurrent_0/vanilla_rnn_cell/kernel": (VOCABULARY, UNITS),
        "recurrent_0/vanilla_rnn_cell/recurrent_kernel": (UNITS, UNITS),
        "recurrent_0/vanilla_rnn_cell/bias": (UNITS,),
        "recurrent_1/vanilla_rnn_cell/kernel": (UNITS, UNITS),
        "recurrent_1/vanilla_rnn_cell/recurrent_kernel": (UNITS, UNITS),
        "recurrent_1/vanilla_rnn_cell/bias": (UNITS,),
        "readout/kernel": (UNITS, VOCABULARY),
        "readout/bias": (VOCABULARY,),
    }

    weights = LanguageModel(VOCABULARY, UNITS, layers=2).weights

    assert [(weight.path, tuple(weight.shape)) for weight in weights] == list(expected.items())


def test_language_model_default_weights_of_a_seed_are_those_of_these_initializers():
    seed = 7
    initial = keras.initializers

    weights = LanguageModel(VOCABULARY, UNITS, layers=2, seed=seed).get_weights()

    expected = [
        initial.GlorotUniform(seed)((VOCABULARY, UNITS)),
        initial.Orthogonal(seed=seed + 1)((UNITS, UNITS)),
        np.zeros(UNITS),
        initial.GlorotUniform(seed + 3)((UNITS, UNITS)),
        initial.Orthogonal(seed=seed + 4)((UNITS, UNITS)),
        np.zeros(UNITS),
        initial.GlorotUniform(seed + 2)((UNITS, VOCABULARY)),
        np.zeros(VOCABULARY),
    ]
    for weight, reference in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, to_numpy(reference))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("embedding", [(6, 4), (4, 5), (5, 5), (5,), (5, 5), (5, 5), (5,), (5, 6), (6,)]),
        ("tied", [(6, 5), (5, 5), (5, 5), (5,), (5, 5), (5, 5), (5,), (6,)]),
        ("skip", [(6, 5), (5, 5), (5,), (11, 5), (5, 5), (5,), (5, 6), (6,)]),
        ("embedding and skip", [(6, 4), (4, 5), (5, 5), (5,), (9, 5), (5, 5), (5,), (5, 6), (6,)]),
        ("all", [(6, 5), (5, 5), (5, 5), (5,), (10, 5), (5, 5), (5,), (6,)]),
    ],
)
def test_language_model_variant_has_its_weights_in_order(name, expected):
    assert shapes(variant(name)) == expected


def test_language_model_table_starts_small_and_by_seed():
    first, again, other = (LanguageModel(50, 16, 2, seed=seed, embedding=16).get_weights()[0] for seed in (4, 4, 5))

    assert 0.04 < np.abs(first).max() <= 0.05
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_language_model_identity_initializer_starts_with_the_identity():
    for kernel in recurrent_kernels(recurrent_initializer="identity", activation="relu"):
        np.testing.assert_array_equal(kernel, np.eye(UNITS))


def test_language_model_irnn_keeps_a_state_that_nothing_drives():
    model = LanguageModel(VOCABULARY, UNITS, 1, "relu", recurrent_initializer="identity", embedding=3)
    table, *others = model.get_weights()
    model.set_weights([np.zeros_like(table), *others])
    state = np.abs(random_states(model, BATCH)[0])

    _, (final_state,) = model(TOKENS, [state])

    np.testing.assert_array_equal(to_numpy(final_state), state)


def test_language_model_spectral_radius_scales_each_layers_own_draw():
    kernels = recurrent_kernels(recurrent_initializer={"spectral_radius": 1.1})

    for kernel in kernels:
        assert np.abs(np.linalg.eigvals(kernel)).max() == pytest.approx(1.1, rel=1e-5)
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01
    np.testing.assert_array_equal(kernels[1], to_numpy(SpectralRadius(1.1, seed=4)((UNITS, UNITS))))
    radii = [np.abs(np.linalg.eigvals(kernel)).max() for kernel in recurrent_kernels()]
    assert max(radii) < 1.001  # guard: the default is orthogonal


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"tied": True}, ValueError, r"tied must come with .* Received: embedding=None, units=5. Pass embedding=5."),
        ({"tied": True, "embedding": 4}, ValueError, "Received: embedding=4, units=5"),
        ({"embedding": -1}, ValueError, "width must be a positive integer. Received: width=-1"),
        ({"recurrent_initializer": "eye"}, ValueError, "recurrent_initializer='eye'. Pass 'orthogonal', 'identity' or"),
        ({"recurrent_initializer": {"radius": 1.0}}, ValueError, "recurrent_initializer={'radius': 1.0}"),
        ({"input_dropout": 1.0}, ValueError, r"input_dropout must be a number in \[0, 1\). Received: input_dropout=1"),
        ({"recurrent_dropout": -0.1}, ValueError, "recurrent_dropout must be"),
        ({"output_dropout": True}, TypeError, "output_dropout must be"),
    ],
)
def test_language_model_bad_argument_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        LanguageModel(VOCABULARY, UNITS, 2, **arguments)


# ---- Files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_language_model_variant_saved_and_loaded_gives_the_same_numbers(name, tmp_path):
    model = variant(name, activation="relu", recurrent_initializer={"spectral_radius": 1.1}, **DROPOUT)
    states = random_states(model, BATCH)
    files.save(model, tmp_path)

    loaded = files.load(tmp_path)

    for weight, reference in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, reference)
    np.testing.assert_array_equal(
        to_numpy(loaded(TOKENS, states, reset=RESET)[0]), to_numpy(model(TOKENS, states, reset=RESET)[0])
    )
    assert loaded.input_dropout == loaded.recurrent_dropout == loaded.output_dropout == 0


def test_load_model_json_of_four_keys_is_the_plain_model(tmp_path):
    model = random_model(VOCABULARY, UNITS, 2)
    files.save(model, tmp_path)
    four = {"vocabulary_size": VOCABULARY, "units": UNITS, "layers": 2, "activation": "tanh"}
    (tmp_path / files.ARCHITECTURE).write_text(json.dumps(four), encoding="utf-8")

    loaded = files.load(tmp_path)

    for weight, reference in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, reference)


def test_language_model_variant_config_round_trips_through_json():
    arguments = {**VARIANTS["all"], **DROPOUT, "recurrent_initializer": {"spectral_radius": 1.1}, "seed": 3}
    model = LanguageModel(VOCABULARY, UNITS, 2, "relu", **arguments)

    again = LanguageModel.from_config(json.loads(json.dumps(model.get_config())))

    assert {name: again.get_config()[name] for name in arguments} == arguments
    for weight, reference in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, reference)


# ---- Configuration --------------------------------------------------------------------------------------------------


def test_build_gives_every_key_of_the_configuration_to_the_model():
    config = ModelConfig.model_validate(
        {
            "units": UNITS,
            "layers": 3,
            "activation": "relu",
            "embedding": UNITS,
            "tied": True,
            "skip_connections": True,
            "recurrent_initializer": {"spectral_radius": 0.9},
            "dropout": {"input": 0.1, "recurrent": 0.2, "output": 0.3},
        }
    )

    model = language_model.build(config, VOCABULARY, seed=5, dtype="mixed_bfloat16")

    built = model.get_config()
    assert {name: built[name] for name in ("vocabulary_size", "seed", "units", "layers", "activation")} == {
        "vocabulary_size": VOCABULARY,
        "seed": 5,
        "units": UNITS,
        "layers": 3,
        "activation": "relu",
    }
    assert (model.embedding, model.tied, model.skip_connections) == (UNITS, True, True)
    assert built["recurrent_initializer"] == {"spectral_radius": 0.9}
    assert (model.input_dropout, model.recurrent_dropout, model.output_dropout) == (0.1, 0.2, 0.3)
    assert model.compute_dtype == "bfloat16"


def test_build_of_the_default_configuration_is_the_default_model():
    config = ModelConfig()

    model = language_model.build(config, VOCABULARY, seed=2)

    assert model.get_config() | {"name": ""} == LanguageModel(VOCABULARY, 256, 2, seed=2).get_config() | {"name": ""}
