"""TokenEmbedding and TiedReadout: rows, logits, and gradients with tokens that occur more than once."""

import keras
import numpy as np
import pytest

from custom_layers import TiedReadout, TokenEmbedding
from custom_layers.token_embedding import look_up

VOCABULARY, WIDTH, BATCH, TIMESTEPS = 7, 4, 2, 5
TOKENS = np.array([[1, 1, 6, 1, 0], [6, 2, 1, 1, 1]], "int32")  # 1 six times, 3, 4 and 5 never


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_token_embedding_gives_the_row_of_each_token():
    layer = TokenEmbedding(VOCABULARY, WIDTH)
    layer.build()
    table = normal(VOCABULARY, WIDTH)
    layer.set_weights([table])

    vectors = array(layer(TOKENS))

    assert vectors.shape == (BATCH, TIMESTEPS, WIDTH)
    for b, t in np.ndindex(TOKENS.shape):
        np.testing.assert_array_equal(vectors[b, t], table[TOKENS[b, t]])


def test_token_embedding_starts_as_keras_embedding_does():
    initializer = keras.initializers.RandomUniform(seed=3)
    stock = keras.layers.Embedding(VOCABULARY, WIDTH, embeddings_initializer=initializer)

    vectors = array(TokenEmbedding(VOCABULARY, WIDTH, seed=3)(TOKENS))

    np.testing.assert_array_equal(vectors, array(stock(TOKENS)))
    assert np.ptp(vectors) > 0.05


def test_token_embedding_in_a_model_survives_saving(tmp_path):
    model = keras.Sequential([keras.Input((None,), dtype="int32"), TokenEmbedding(VOCABULARY, WIDTH, seed=1)])
    model.save(tmp_path / "model.keras")

    loaded = keras.models.load_model(tmp_path / "model.keras")

    np.testing.assert_array_equal(array(loaded(TOKENS)), array(model(TOKENS)))
    config = loaded.layers[-1].get_config()
    assert (config["vocabulary_size"], config["width"], config["seed"]) == (VOCABULARY, WIDTH, 1)


def test_look_up_gradient_is_a_matrix_that_sums_what_a_token_gets(value_and_gradients, mode):
    weights = normal(BATCH, TIMESTEPS, WIDTH, seed=1)

    _, (gradient,) = value_and_gradients(lambda e: look_up(e, TOKENS), [normal(VOCABULARY, WIDTH)], mode, weights)

    expected = np.zeros((VOCABULARY, WIDTH))
    np.add.at(expected, TOKENS, weights)
    assert gradient.shape == (VOCABULARY, WIDTH)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    # Guard: a norm taken token by token would be another one.
    assert abs(np.linalg.norm(weights) - np.linalg.norm(expected)) > 0.1


def test_tied_readout_equals_numpy():
    states, table, bias = normal(BATCH, TIMESTEPS, WIDTH), normal(VOCABULARY, WIDTH, seed=1), normal(VOCABULARY, seed=2)
    layer = TiedReadout()
    layer.build(states.shape, table.shape)
    assert [tuple(weight.shape) for weight in layer.weights] == [(VOCABULARY,)]
    np.testing.assert_array_equal(array(layer.bias), np.zeros(VOCABULARY))
    layer.set_weights([bias])

    logits = array(layer(states, table))

    np.testing.assert_allclose(logits, states.astype("float64") @ table.T + bias, atol=1e-5)


def test_tied_table_gradient_is_that_of_both_ends(value_and_gradients, mode):
    table, weights = normal(VOCABULARY, WIDTH), normal(BATCH, TIMESTEPS, VOCABULARY, seed=1)
    layer = TiedReadout()
    layer.build((BATCH, TIMESTEPS, WIDTH), table.shape)

    _, (gradient,) = value_and_gradients(lambda e: layer(look_up(e, TOKENS), e), [table], mode, weights)

    expected = np.zeros((VOCABULARY, WIDTH))
    np.add.at(expected, TOKENS, weights @ table)  # as inputs
    inputs_alone = expected.copy()
    for b, t in np.ndindex(TOKENS.shape):
        expected += np.outer(weights[b, t], table[TOKENS[b, t]])  # as outputs
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    assert np.abs(inputs_alone - expected).max() > 0.1  # guard: both matter


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((0, 4), ValueError, "TokenEmbedding: vocabulary_size must be a positive integer. Received: vocabulary_size=0"),
        ((7, 4.0), TypeError, "TokenEmbedding: width must be a positive integer. Received: width=4.0"),
    ],
)
def test_token_embedding_bad_size_is_refused(arguments, error, text):
    with pytest.raises(error, match=text):
        TokenEmbedding(*arguments)


def test_tied_readout_table_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"TiedReadout: states must have the shape \[batch, timesteps, units=4\]"):
        TiedReadout()(normal(BATCH, TIMESTEPS, 5), normal(VOCABULARY, WIDTH))
