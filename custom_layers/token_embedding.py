"""A table of token vectors: TokenEmbedding looks tokens up in it, TiedReadout scores all of them with it."""

from typing import Any

import keras
from keras import ops

from . import checks


def look_up(embeddings: Any, tokens: Any) -> Any:
    """Return the row of each token: x_t = E[token_t].

    Args:
        embeddings: float `[vocabulary, width]`, E.
        tokens: int `[batch, timesteps]`, ids below `vocabulary`.

    Returns:
        float `[batch, timesteps, width]`, in the dtype of E. Its gradient is a matrix like E on every backend.
    """
    # Reshaped to the shape it has, for the gradient's sake: TensorFlow's own, of a bare look-up, is a list of rows that
    # holds a token twice if it occurs twice, and what squares it (a norm, Adam) would not see their sum.
    return ops.take(ops.reshape(embeddings, embeddings.shape), tokens, axis=0)


@keras.saving.register_keras_serializable("custom_layers")
class TokenEmbedding(keras.layers.Layer):
    """Look tokens up in a table: x_t = E[token_t], E `[vocabulary, width]`.

    `keras.layers.Embedding`, whose gradient is dense on TensorFlow too. E starts uniform in ±0.05, as there.

    Args:
        vocabulary_size: number of token ids, a positive integer.
        width: size of a token's vector, a positive integer.
        seed: seed of the initial table.

    Raises:
        TypeError, ValueError: a size is no positive integer.

    Example:
        >>> import numpy as np
        >>> tuple(TokenEmbedding(9, 4)(np.array([[0, 8, 8]])).shape)
        (1, 3, 4)

    Source:
        Bengio et al. (2003), A Neural Probabilistic Language Model, section 2.
    """

    def __init__(self, vocabulary_size: int, width: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = checks.positive_integer("TokenEmbedding", "vocabulary_size", vocabulary_size)
        self.width = checks.positive_integer("TokenEmbedding", "width", width)
        self.seed = seed

    def build(self, tokens_shape: Any = None) -> None:
        """Create the table."""
        initializer = keras.initializers.RandomUniform(seed=self.seed)
        self.embeddings = self.add_weight((self.vocabulary_size, self.width), initializer, name="embeddings")

    def call(self, tokens: Any) -> Any:
        """Return `[batch, timesteps, width]` for `[batch, timesteps]`."""
        return look_up(ops.convert_to_tensor(self.embeddings), tokens)

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument."""
        own = {"vocabulary_size": self.vocabulary_size, "width": self.width, "seed": self.seed}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("custom_layers")
class TiedReadout(keras.layers.Layer):
    """Score every token by its vector: o_t = h_t Eᵀ + c.

    E `[vocabulary, units]` is the table that the tokens were looked up in, an argument of the call; the bias c
    `[vocabulary]`, zero at first, is the layer's own. (`keras.layers.ReversibleEmbedding` has no bias, and would not
    save one that a subclass adds.)

    Call arguments:
        states: float `[batch, timesteps, units]`.
        embeddings: float `[vocabulary, units]`.

    Returns:
        Logits `[batch, timesteps, vocabulary]`.

    Raises:
        ValueError: the table is not as wide as the states.

    Example:
        >>> import numpy as np
        >>> tuple(TiedReadout()(np.ones((2, 3, 4), "float32"), np.ones((9, 4), "float32")).shape)
        (2, 3, 9)

    Source:
        Press and Wolf (2017), Using the Output Embedding to Improve Language Models; Inan, Khosravi and Socher (2017),
        Tying Word Vectors and Word Classifiers.
    """

    def build(self, states_shape: Any, embeddings_shape: Any) -> None:
        """Create the bias."""
        vocabulary, units = embeddings_shape
        expected = {"batch": None, "timesteps": None, "units": units}
        fix = "Look tokens up in a table as wide as the state"
        checks.shape("TiedReadout", "states", "states.shape", states_shape, expected, fix)
        self.bias = self.add_weight((vocabulary,), "zeros", name="bias")

    def call(self, states: Any, embeddings: Any) -> Any:
        """Return the logits, as the class documents."""
        return ops.matmul(states, ops.transpose(embeddings)) + self.bias
