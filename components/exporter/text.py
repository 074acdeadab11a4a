"""Text to token ids and back inside a TensorFlow graph, with stock operations only."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from components.exporter.bpe import GraphBpe
from components.exporter.pieces import byte_ids, word_strings
from components.exporter.unicode import UnicodeNormalizer
from components.transform.tokenizers import SETTINGS, VOCABULARY, BpeTokenizer, CharTokenizer, WordTokenizer, load


class GraphTokenizer(tf.Module):
    """The graph's twin of `Tokenizer.encode` and `decode`; the tokenizer's files become assets.

    Args:
        folder: Where the tokenizer's files are.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        tokenizer = load(folder)
        self.vocabulary_size = len(tokenizer)
        self.end = tokenizer.end
        self.unsampled = tokenizer.unsampled
        self._kind = tokenizer.kind
        self._specials = {name: i for i, name in enumerate(tokenizer.tokens[: len(tokenizer.specials)])}
        self._bytes = tf.constant([b""] * len(self._specials) + list(tokenizer.symbols))  # of each id
        self._assets = [tf.saved_model.Asset(str(folder / name)) for name in (VOCABULARY, SETTINGS)]
        ids = tf.range(len(self._specials), len(tokenizer), dtype=tf.int64)
        self._ids = _table(self._bytes[len(self._specials) :], ids, tokenizer.outside)
        self._normalize = None
        if not tokenizer.options.is_identity:
            self._normalize = UnicodeNormalizer(tokenizer.options.normalization, tokenizer.options.lowercase)
        if isinstance(tokenizer, CharTokenizer):
            codes = tf.constant([ord(character) for character in tokenizer.characters], tf.int64)
            self._ids_of_codes = _table(codes, ids, tokenizer.outside)
        if isinstance(tokenizer, BpeTokenizer):
            self._bpe = GraphBpe(tokenizer.merges)

    def encode(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Strings [batch] as token ids int32 [batch, (tokens)]; what is not in the vocabulary becomes `<unk>`."""
        if self._kind == CharTokenizer.kind:
            codes = self._code_points(text)
            ids = self._ids_of_codes.lookup(tf.cast(codes.flat_values, tf.int64))
            return codes.with_flat_values(tf.cast(ids, tf.int32))
        text = self._normalized(text)
        if self._kind == WordTokenizer.kind:
            words = word_strings(text)
            return words.with_flat_values(tf.cast(self._ids.lookup(words.flat_values), tf.int32))
        symbols = self._bpe(text) if self._kind == BpeTokenizer.kind else byte_ids(text)
        return symbols + len(self._specials)

    def encode_tokens(self, tokens: tf.Tensor) -> tf.Tensor:
        """One token a string, `<end>` and the other specials by name, as ids int32 [batch]. "" is `<end>`, too."""
        ids = tf.cast(self._ids.lookup(self._normalized(tokens)), tf.int32)
        for name, special in {**self._specials, "": self.end}.items():
            ids = tf.where(tokens == name, special, ids)
        return ids

    def opens_document(self, tokens: tf.Tensor) -> tf.Tensor:
        """Which of the strings [batch] say `<end>`: bool [batch]. An unknown token never does."""
        return (tokens == "<end>") | (tokens == "")

    def token_strings(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """What each id stands for, as `encode_tokens` reads it; `<unk>` by its name."""
        names = tf.concat([list(self._specials), self._bytes[len(self._specials) :]], axis=0)
        return tf.gather(names, ids)

    def append(self, prompt: tf.Tensor, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Strings [batch], each followed by the text of the first `lengths` [batch] of ids int32 [batch, timesteps].

        No special may be among them.
        """
        pieces = tf.RaggedTensor.from_tensor(tf.gather(self._bytes, ids), lengths=tf.cast(lengths, tf.int64))
        if self._kind != WordTokenizer.kind:
            return prompt + tf.strings.reduce_join(pieces, axis=-1)
        # One space between words, none beside a newline.
        text = tf.strings.regex_replace(tf.strings.reduce_join(pieces, axis=-1, separator=" "), " ?\n ?", "\n")
        parted = tf.strings.regex_full_match(prompt, r"(?s)(.*[\t-\r ])?")
        parted |= tf.strings.regex_full_match(text, r"(?s)(\n.*)?")
        return prompt + tf.where(parted, "", " ") + text

    def _code_points(self, text: tf.Tensor) -> tf.RaggedTensor:
        codes = tf.strings.unicode_decode(text, "UTF-8")
        return codes if self._normalize is None else self._normalize(codes)

    def _normalized(self, text: tf.Tensor) -> tf.Tensor:
        return text if self._normalize is None else tf.strings.unicode_encode(self._code_points(text), "UTF-8")


def _table(keys: tf.Tensor, values: tf.Tensor, default: int) -> tf.lookup.StaticHashTable:
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default)
