"""Text to token ids and back inside a TensorFlow graph, with stock operations only."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

import tensorflow as tf

from components.exporter.bpe import GraphBpe
from components.exporter.pieces import TokenTable, join_tokens, join_words, split_bytes, split_words
from components.exporter.unicode import UnicodeNormalizer
from components.transform.bpe import Bpe
from components.transform.tokenizers import SETTINGS, VOCABULARY, BpeTokenizer, CharTokenizer, WordTokenizer, load


class GraphTokenizer(tf.Module):
    """The graph's twin of `Tokenizer.encode` and `decode`; the tokenizer's files become assets.

    Args:
        folder: Where the tokenizer's files are.
        prefix: Stands before the assets' names, `PREFIXvocabulary.tsv`: a SavedModel knows its assets by their names
            alone, so that each of its tokenizers needs one of its own. That of the text has none.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        super().__init__()
        tokenizer = load(folder)
        self.vocabulary_size = len(tokenizer)
        self.end = tokenizer.end
        self.unsampled = tokenizer.unsampled
        self._kind = tokenizer.kind
        self._specials = {name: i for i, name in enumerate(tokenizer.tokens[: len(tokenizer.specials)])}
        self._bytes = [b""] * len(self._specials) + list(tokenizer.symbols)  # of each id
        files = [folder / name for name in (VOCABULARY, SETTINGS)]
        if prefix:
            # Assets are called what their files are called, which have to be there until the model is saved.
            copies = Path(tempfile.mkdtemp())
            weakref.finalize(self, shutil.rmtree, copies)
            files = [Path(shutil.copyfile(file, copies / (prefix + file.name))) for file in files]
        self._assets = [tf.saved_model.Asset(str(file)) for file in files]
        ids = dict(zip(tokenizer.symbols, range(len(self._specials), len(tokenizer)), strict=True))
        self._ids = TokenTable(ids, tokenizer.outside)
        named = {name.encode(): special for name, special in self._specials.items()}
        self._ids_of_names = TokenTable({**ids, **named, b"": self.end}, -1)
        self._outside = tokenizer.outside
        self._normalize = None
        if not tokenizer.options.is_identity:
            self._normalize = UnicodeNormalizer(tokenizer.options.normalization, tokenizer.options.lowercase)
        if isinstance(tokenizer, CharTokenizer):
            self._ids_of_codes = code_table(tokenizer.characters, len(self._specials), tokenizer.outside)
        if isinstance(tokenizer, BpeTokenizer):
            self._bpe = GraphBpe(Bpe(tokenizer.merges))

    def encode(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Strings [batch] as token ids int32 [batch, (tokens)]; what is not in the vocabulary becomes `<unk>`."""
        if self._kind == CharTokenizer.kind:
            codes = self._code_points(text)
            return codes.with_flat_values(self._ids_of_codes.lookup(codes.flat_values))
        text = self._normalized(text)
        if self._kind == WordTokenizer.kind:
            words = split_words(text)
            return words.with_flat_values(self._ids.lookup(words.flat_values))
        symbols = self._bpe.encode(text) if self._kind == BpeTokenizer.kind else split_bytes(text)
        return symbols + len(self._specials)

    def encode_tokens(self, tokens: tf.Tensor) -> tf.Tensor:
        """One token a string, `<end>` and the other specials by name, as ids int32 [batch]. "" is `<end>`, too.

        Normalisation and lower case are those of `encode`; a token is looked up as it is.
        """
        ids = self._ids_of_names.lookup(tokens)
        return tf.where(ids < 0, self._outside, ids)

    def opens_document(self, tokens: tf.Tensor) -> tf.Tensor:
        """Which of the strings [batch] say `<end>`: bool [batch]. An unknown token never does."""
        return self._ids_of_names.lookup(tokens) == self.end

    def token_strings(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        """What each id stands for, as `encode_tokens` reads it; `<unk>` by its name."""
        names = [name.encode() for name in self._specials] + self._bytes[len(self._specials) :]
        return tf.gather(names, ids)

    def append(self, prompt: tf.Tensor, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Strings [batch], each followed by the text of the first `lengths` [batch] of ids int32 [batch, timesteps].

        No special may be among them.
        """
        written = tf.RaggedTensor.from_tensor(ids, lengths=tf.cast(lengths, tf.int64))
        if self._kind != WordTokenizer.kind:
            return prompt + join_tokens(self._bytes, written)
        text = join_words(tf.gather(self._bytes, written))
        # One space between words, none beside a newline.
        parted = tf.strings.regex_full_match(prompt, r"(?s)(.*[\t-\r ])?")
        parted |= tf.strings.regex_full_match(text, r"(?s)(\n.*)?")
        return prompt + tf.where(parted, "", " ") + text

    def _code_points(self, text: tf.Tensor) -> tf.RaggedTensor:
        codes = tf.strings.unicode_decode(text, "UTF-8")
        return codes if self._normalize is None else self._normalize(codes)

    def _normalized(self, text: tf.Tensor) -> tf.Tensor:
        return text if self._normalize is None else tf.strings.unicode_encode(self._code_points(text), "UTF-8")


def code_table(characters: str, first: int, outside: int) -> tf.lookup.StaticHashTable:
    """Makes the table that says which id a code point, int32, has: `first` and up, `outside` for every other one."""
    # A table must not be empty; no character has the code -1.
    codes, ids = [*map(ord, characters), -1], [*range(first, first + len(characters)), outside]
    known = tf.lookup.KeyValueTensorInitializer(tf.constant(codes, tf.int32), tf.constant(ids, tf.int32))
    return tf.lookup.StaticHashTable(known, outside)
