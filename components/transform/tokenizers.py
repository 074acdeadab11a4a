"""Tokenizers: text to token ids and back, by characters, bytes, words or byte pairs; and their files.

The ids are the same in Beam's workers, in the trainer and in the served graph (`components.exporter.text` is the twin
of this module in TensorFlow operations): first the specials, then the symbols of the tokenizer's kind.
"""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from components.transform.bpe import Bpe
from components.transform.text_options import TextOptions
from components.transform.words import join_words, split_words

VOCABULARY, SETTINGS = "vocabulary.tsv", "tokenizer.json"
IDENTITY = TextOptions()
_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Tokenizer(ABC):
    """Text to token ids and back.

    Attributes:
        kind: Its name in the configuration.
        specials: Names without brackets (`end`, `unk`, `pad`); special i has id i.
        options: What is done to a text first.
    """

    kind: ClassVar[str]
    # The column of `Documents.offsets` that counts this kind's tokens, where each of them is a character or a byte.
    column: ClassVar[int | None] = None

    specials: tuple[str, ...]
    options: TextOptions

    @property
    @abstractmethod
    def symbols(self) -> Sequence[bytes]:
        """The bytes that each id after the specials stands for."""

    @abstractmethod
    def _encode(self, text: str) -> np.ndarray:
        """Ids of a text that `options` have been applied to."""

    def __len__(self) -> int:
        return len(self.specials) + len(self.symbols)

    @property
    def end(self) -> int:
        """Id of `<end>`, which opens every document and closes the split."""
        return self.specials.index("end")

    @property
    def unknown(self) -> int | None:
        """Id of `<unk>`, or None without one."""
        return self.specials.index("unk") if "unk" in self.specials else None

    @property
    def outside(self) -> int:
        """Id that what is not in the vocabulary reads as: `<unk>`, or without one `<end>`, the only one left."""
        return self.end if self.unknown is None else self.unknown

    @property
    def unsampled(self) -> list[int]:
        """Ids that are never generated: every special but `<end>`."""
        return [i for i, name in enumerate(self.specials) if name != "end"]

    @cached_property
    def tokens(self) -> list[str]:
        """A name of each id: `<end>` for a special, else what it stands for; part of a character is written `\\xe2`."""
        return [f"<{name}>" for name in self.specials] + [s.decode("utf-8", "backslashreplace") for s in self.symbols]

    @property
    def is_local(self) -> bool:
        """Whether a character's or byte's token depends on nothing around it, so that a text may be cut anywhere."""
        return self.column is not None and self.options.is_identity

    def unknown_among(self, counts: Mapping[Any, int]) -> int:
        """How many of the symbols counted in a text are not in the vocabulary."""
        return 0

    def encode(self, text: str) -> np.ndarray:
        """Text as token ids [tokens]; what is not in the vocabulary becomes `<unk>`."""
        return self._encode(self.options.apply(text))

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Token ids as text; specials are written by name, `<end>`; bytes that are no UTF-8 become U+FFFD."""
        names = [f"<{name}>".encode() for name in self.specials]
        pieces = [names[i] if i < len(names) else self.symbols[i - len(names)] for i in map(int, ids)]
        return self._join(pieces).decode("utf-8", "replace")

    def _join(self, pieces: Sequence[bytes]) -> bytes:
        return b"".join(pieces)

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` (kind, settings) and `vocabulary.tsv` (id, bytes in hexadecimal, readable name)."""
        settings = {
            "kind": self.kind,
            "specials": self.specials,
            **dataclasses.asdict(self.options),
            **self._settings(),
        }
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")
        (folder / VOCABULARY).write_text(self._table(), encoding="utf-8", newline="\n")

    def _table(self) -> str:
        symbols = [b""] * len(self.specials) + list(self.symbols)
        names = [name if name.isprintable() else ascii(name)[1:-1] for name in self.tokens]
        rows = enumerate(zip(symbols, names, strict=True))
        return "".join(f"{i}\t{symbol.hex()}\t{name}\n" for i, (symbol, name) in rows)

    def _settings(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class CharTokenizer(Tokenizer):
    """A token is a character (a Unicode code point).

    Attributes:
        characters: In order of code point; character j has id len(specials) + j.
    """

    kind = "char"
    column = 1

    characters: str

    @classmethod
    def from_counts(
        cls, counts: Mapping[int, int], specials: Sequence[str], min_count: int = 1, options: TextOptions = IDENTITY
    ) -> CharTokenizer:
        """Keeps the code points counted at least `min_count` times."""
        kept = sorted(code for code, count in counts.items() if count >= min_count)
        return cls(tuple(specials), options, "".join(map(chr, kept)))

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._symbols

    @cached_property
    def _symbols(self) -> list[bytes]:
        return [character.encode("utf-8") for character in self.characters]

    @cached_property
    def _ids(self) -> np.ndarray:
        # Direct addressing by code point: one gather for any number of characters, where a dict would be a Python
        # call for each.
        ids = np.full(_CODE_POINTS, self.outside, np.min_scalar_type(len(self)))
        ids[[ord(character) for character in self.characters]] = np.arange(len(self.specials), len(self))
        return ids

    def unknown_among(self, counts: Mapping[Any, int]) -> int:
        known = set(map(ord, self.characters))
        return sum(count for code, count in counts.items() if code not in known)

    def _encode(self, text: str) -> np.ndarray:
        return self._ids[code_points(text)]


@dataclass(frozen=True)
class ByteTokenizer(Tokenizer):
    """A token is a byte of the text's UTF-8; byte b has id len(specials) + b. Nothing is unknown."""

    kind = "byte"
    column = 0

    @property
    def symbols(self) -> Sequence[bytes]:
        return _BYTES

    def _encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode("utf-8"), np.uint8) + np.uint16(len(self.specials))


@dataclass(frozen=True)
class WordTokenizer(Tokenizer):
    """A token is a word, or a newline: see `components.transform.words`.

    Attributes:
        words: The most frequent first; word j has id len(specials) + j.
    """

    kind = "word"

    words: tuple[str, ...]

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        specials: Sequence[str],
        min_count: int = 1,
        options: TextOptions = IDENTITY,
        vocabulary_size: int | None = None,
    ) -> WordTokenizer:
        """Keeps the words counted at least `min_count` times, and of these the most frequent ones.

        A word that is spelt like a special, such as the `<unk>` of WikiText, is none: it becomes `<unk>`.

        Args:
            vocabulary_size: Largest number of ids, the specials among them.
        """
        names = {f"<{name}>" for name in specials}
        known = (word for word, count in counts.items() if count >= min_count and word not in names)
        kept = sorted(known, key=lambda word: (-counts[word], word))
        return cls(tuple(specials), options, tuple(kept[: vocabulary_size and vocabulary_size - len(specials)]))

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._symbols

    @cached_property
    def _symbols(self) -> list[bytes]:
        return [word.encode("utf-8") for word in self.words]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, len(self.specials))}

    def unknown_among(self, counts: Mapping[Any, int]) -> int:
        return sum(count for word, count in counts.items() if word not in self._ids)

    def _encode(self, text: str) -> np.ndarray:
        ids, outside = self._ids, self.outside
        return np.asarray([ids.get(word, outside) for word in split_words(text)], np.int32)

    def _join(self, pieces: Sequence[bytes]) -> bytes:
        return join_words(piece.decode("utf-8") for piece in pieces).encode("utf-8")


@dataclass(frozen=True)
class BpeTokenizer(Tokenizer):
    """A token is a byte, or a sequence of bytes that often stand together. Nothing is unknown.

    Attributes:
        merges: Pairs of symbols, the earliest first; pair r makes symbol 256 + r.

    Source: Sennrich, Haddow and Birch (2016), "Neural machine translation of rare words with subword units"; over
    bytes: Radford et al. (2019), "Language models are unsupervised multitask learners".
    """

    kind = "bpe"

    merges: tuple[tuple[int, int], ...]

    @property
    def symbols(self) -> Sequence[bytes]:
        return self._bpe.tokens

    @cached_property
    def _bpe(self) -> Bpe:
        return Bpe(self.merges)

    def _encode(self, text: str) -> np.ndarray:
        return self._bpe.encode_bytes(text.encode("utf-8")) + np.int32(len(self.specials))

    def _settings(self) -> dict[str, Any]:
        return {"merges": self.merges}


_BYTES = [bytes([b]) for b in range(256)]
_KINDS: dict[str, type[Tokenizer]] = {
    cls.kind: cls for cls in (CharTokenizer, ByteTokenizer, WordTokenizer, BpeTokenizer)
}


def code_points(text: str) -> np.ndarray:
    """The code points of a text: uint8 for ASCII, else uint32 [characters]."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le"), "<u4")


def count_characters(text: str) -> Counter[int]:
    """Code point → how often it occurs."""
    return count_values(code_points(text))


def count_values(values: np.ndarray) -> Counter[int]:
    """Value → how often it occurs among integers that are not negative."""
    counts = np.bincount(values)
    seen = np.flatnonzero(counts)
    return Counter(dict(zip(seen.tolist(), counts[seen].tolist(), strict=True)))


def count_words(text: str) -> Counter[str]:
    """Word → how often it occurs."""
    return Counter(split_words(text))


def load(folder: Path) -> Tokenizer:
    """Reads what `Tokenizer.save` wrote.

    Raises:
        ValueError: A file is missing or damaged.
    """
    try:
        settings = json.loads((folder / SETTINGS).read_text("utf-8"))
        table = (folder / VOCABULARY).read_bytes().decode("utf-8")
        rows = [line.split("\t") for line in table.split("\n")[:-1]]
        cls, specials = _KINDS[settings["kind"]], tuple(settings["specials"])
        options = TextOptions(settings["normalization"], settings["lowercase"])
        symbols = [bytes.fromhex(row[1]).decode("utf-8", "replace") for row in rows[len(specials) :]]
        contents: dict[type[Tokenizer], tuple[Any, ...]] = {
            CharTokenizer: ("".join(symbols),),
            WordTokenizer: (tuple(symbols),),
            BpeTokenizer: (tuple(map(tuple, settings.get("merges", ()))),),
        }
        tokenizer = cls(specials, options, *contents.get(cls, ()))
        if tokenizer._table() != table:
            raise ValueError(f"{VOCABULARY} is not that of the tokenizer in {SETTINGS}")
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"Tokenizer: a folder must hold a readable {SETTINGS} and {VOCABULARY}. Received: {folder} ({error}). "
            "Run the transform stage again."
        ) from error
    return tokenizer
