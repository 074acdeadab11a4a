"""Text as bytes or as words inside a TensorFlow graph, and back, with stock operations only.

The twins of `str.encode`, `bytes.decode` and `components.transform.words`. Every function takes a batch of any size and
strings of any bytes, valid UTF-8 or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf


def split_bytes(text: tf.Tensor) -> tf.RaggedTensor:
    """Cuts strings into bytes.

    Args:
        text: string [batch].

    Returns:
        The value of each byte, int32 [batch, (bytes)].
    """
    # All rows joined, so that their lengths may differ: no other operation turns strings into numbers by the byte.
    values = tf.io.decode_raw(tf.strings.reduce_join(text), tf.uint8)
    return tf.RaggedTensor.from_row_lengths(tf.cast(values, tf.int32), tf.cast(tf.strings.length(text), tf.int64))


def join_tokens(tokens: Sequence[bytes], ids: tf.RaggedTensor) -> tf.Tensor:
    """Writes token ids as text: whatever tokens they are.

    Args:
        tokens: The bytes of each token.
        ids: int32 [batch, (tokens)].

    Returns:
        string [batch].
    """
    return tf.strings.reduce_join(tf.gather(tokens, ids), axis=-1)


def split_words(text: tf.Tensor) -> tf.RaggedTensor:
    """Cuts strings [batch] into words, string [batch, (words)], as `components.transform.words.split_words` does."""
    spaced = tf.strings.regex_replace(tf.strings.regex_replace(text, r"[\t\v\f\r]", " "), r"\n", " \n ")
    words = tf.strings.split(spaced, " ")
    return tf.ragged.boolean_mask(words, words.with_flat_values(words.flat_values != ""))


def join_words(words: tf.RaggedTensor) -> tf.Tensor:
    """Joins words, string [batch, (words)], to strings [batch]: with one space, but none beside a line end."""
    return tf.strings.regex_replace(tf.strings.reduce_join(words, axis=-1, separator=" "), " ?\n ?", "\n")


class TokenTable(tf.Module):
    """Says which id a token has; the tokens are constants of the graph.

    Args:
        ids: The bytes of each known token → its id.
        outside: The id of every other string.
    """

    def __init__(self, ids: Mapping[bytes, int], outside: int) -> None:
        super().__init__()
        ids = {b"": outside, **ids}  # a table must not be empty
        # int64: converters to other runtimes know no table from strings to int32.
        known = tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(ids), tf.string), tf.constant(list(ids.values()), tf.int64)
        )
        self._table = tf.lookup.StaticHashTable(known, default_value=outside)

    def lookup(self, tokens: tf.Tensor) -> tf.Tensor:
        """Ids of strings of any shape, int32."""
        return tf.cast(self._table.lookup(tokens), tf.int32)
