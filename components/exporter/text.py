"""Text to token ids and back inside a TensorFlow graph, with stock operations only."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from components.transform.vocabulary import FILE_NAME, Vocabulary


class GraphTokenizer(tf.Module):
    """The graph's twin of `Vocabulary.encode` and `decode`; the vocabulary file becomes an asset.

    Args:
        folder: Where the vocabulary file is.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        vocabulary = Vocabulary.load(folder)
        self.vocabulary_size = len(vocabulary)
        self.end = vocabulary.end
        self.unsampled = vocabulary.unsampled
        self._outside = vocabulary.outside
        self._specials = {vocabulary.tokens[i]: i for i in range(len(vocabulary.specials))}
        self._code_points = tf.constant(vocabulary.code_points, tf.int32)
        self._ids = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(folder / FILE_NAME), tf.int64, 1, tf.int64, 0, self.vocabulary_size, delimiter="\t"
            ),
            default_value=self._outside,
        )

    def encode(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Strings [batch] as token ids int32 [batch, (characters)]; an unknown character becomes `<unk>`."""
        codes = tf.strings.unicode_decode(text, "UTF-8")
        ids = self._ids.lookup(tf.cast(codes.flat_values, tf.int64))
        return codes.with_flat_values(tf.cast(ids, tf.int32))

    def encode_tokens(self, tokens: tf.Tensor) -> tf.Tensor:
        """One token a string, `<end>` and the other specials by name, as ids int32 [batch]. "" is `<end>`, too."""
        codes = tf.strings.unicode_decode(tokens, "UTF-8")
        first = tf.cast(codes.to_tensor(default_value=-1, shape=[None, 1])[:, 0], tf.int64)
        single = codes.row_lengths() == 1
        ids = tf.where(single, tf.cast(self._ids.lookup(first), tf.int32), self._outside)
        for name, special in {**self._specials, "": self.end}.items():
            ids = tf.where(tokens == name, special, ids)
        return ids

    def opens_document(self, tokens: tf.Tensor) -> tf.Tensor:
        """Which of the strings [batch] say `<end>`: bool [batch]. An unknown character never does."""
        return (tokens == "<end>") | (tokens == "")

    def decode(self, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """The first `lengths` [batch] of ids int32 [batch, timesteps] as strings [batch]. Only characters may come."""
        codes = tf.RaggedTensor.from_tensor(tf.gather(self._code_points, ids), lengths=tf.cast(lengths, tf.int64))
        return tf.strings.unicode_encode(codes, "UTF-8")
