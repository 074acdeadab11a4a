"""What one block of text, or of documents.jsonl, holds. Pure; vectorised over the characters of the block."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from components.statistics_gen.characters import KINDS, kind

FORMS = ("NFC", "NFKC")
# A longer value of a field is counted under its beginning and a digest of all of it.
_LONGEST_VALUE = 100
_SHOWN_OF_LONGER = 60
# A larger integer has no moments: it counts as no number at all.
_LARGEST = int(sys.float_info.max)
_to_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True)
class TextCounts:
    """What the documents of a block hold.

    Attributes:
        characters: Code point → how often.
        words: Word → how often; a word is what Unicode's whitespace separates.
        documents: Kind of suspect character, or `not_nfc`, `not_nfkc` → number of documents concerned.
    """

    characters: dict[int, int]
    words: Counter[str]
    documents: dict[str, int]


def count_text(text: str, starts: Sequence[int]) -> TextCounts:
    """Counts the characters, words and suspect documents of a block.

    Args:
        text: The documents, one after the other.
        starts: Where each begins, in characters, and after the last the length of `text`.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), "<u4")
    counts = np.bincount(codes)
    found = np.flatnonzero(counts)
    documents = [text[a:b] for a, b in itertools.pairwise(starts)]
    concerned = {}
    kinds = {int(code): kind(chr(code)) for code in found}
    for name in KINDS:
        suspect = np.zeros(len(counts), bool)
        suspect[[code for code, its_kind in kinds.items() if its_kind == name]] = True
        # An empty document starts where the next one does, so the last of equal starts is the one that holds it.
        places = np.flatnonzero(suspect[codes]) if suspect.any() else np.zeros(0, np.int64)
        concerned[name] = len(np.unique(np.searchsorted(np.asarray(starts), places, side="right")))
    for form in FORMS:
        concerned[f"not_{form.lower()}"] = _not_normal(form, text, documents)
    return TextCounts(
        dict(zip(found.tolist(), counts[found].tolist(), strict=True)),
        # Nothing stands between two documents: without the line feed, their words would run together.
        Counter("\n".join(documents).split()),
        {name: count for name, count in concerned.items() if count},
    )


def _not_normal(form: Any, text: str, documents: Iterable[str]) -> int:
    # Every part of a normalised text is normalised, so one look at the block is enough for most.
    if unicodedata.is_normalized(form, text):
        return 0
    return sum(not unicodedata.is_normalized(form, document) for document in documents)


@dataclass
class Moments:
    """Count, mean and spread of numbers, which add up: m2 is the sum of squared distances from the mean."""

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    zeros: int = 0

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Moments:
        """Measures some numbers."""
        if not numbers:
            return cls()
        values = np.asarray(numbers, np.float64)
        mean = float(values.mean())
        m2 = float(np.square(values - mean).sum())
        return cls(len(values), mean, m2, float(values.min()), float(values.max()), int((values == 0).sum()))

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        if not count:
            return self
        distance = other.mean - self.mean
        return Moments(
            count,
            self.mean + distance * other.count / count,
            self.m2 + other.m2 + distance**2 * self.count * other.count / count,
            min(self.min, other.min),
            max(self.max, other.max),
            self.zeros + other.zeros,
        )

    @property
    def std(self) -> float:
        """Standard deviation of the numbers themselves (not an estimate for others)."""
        return math.sqrt(self.m2 / self.count) if self.count else 0.0


@dataclass
class FieldCounts:
    """What the documents of a block say under one name.

    Attributes:
        types: `text`, `integer`, `fraction`, `true_false` or `other` → number of values of that type.
        characters: Characters of all values of type text.
        numbers: Moments of the numbers, true and false among them as 1 and 0.
        values: Value as JSON → how often; fractions, lists and objects are not counted one by one.
    """

    types: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    numbers: Moments = field(default_factory=Moments)
    values: Counter[str] = field(default_factory=Counter)


def count_fields(lines: Sequence[bytes]) -> dict[str, FieldCounts]:
    """Counts the values of each field but `id`, which is every document's own; null counts as missing.

    Args:
        lines: Of documents.jsonl.
    """
    values: dict[str, list[Any]] = {}
    # As one list: a call of the parser for each of millions of short lines would cost more than the parsing.
    for document in json.loads(b"[" + b",".join(lines) + b"]"):
        for name, value in document.items():
            if name != "id" and value is not None:
                values.setdefault(name, []).append(value)
    return {name: _count_field(found) for name, found in sorted(values.items())}


def _count_field(values: list[Any]) -> FieldCounts:
    # By exact type, which is what JSON gives: true is an integer to isinstance.
    texts = [value for value in values if type(value) is str]
    truths = [value for value in values if type(value) is bool]
    integers = [value for value in values if type(value) is int and -_LARGEST <= value <= _LARGEST]
    fractions = [value for value in values if type(value) is float and math.isfinite(value)]
    by_type: dict[str, list[Any]] = {"text": texts, "true_false": truths, "integer": integers, "fraction": fractions}
    types = Counter({name: len(found) for name, found in by_type.items() if found})
    types += Counter(other=len(values) - types.total())
    counted = Counter({_to_json(_shortened(text)): count for text, count in Counter(texts).items()})
    counted.update({_to_json(truth): count for truth, count in Counter(truths).items()})
    counted.update({str(integer): count for integer, count in Counter(integers).items()})
    return FieldCounts(types, sum(map(len, texts)), Moments.of([*truths, *integers, *fractions]), counted)


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST_VALUE:
        return text
    digest = hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()
    return f"{text[:_SHOWN_OF_LONGER]}… ({len(text)} characters, {digest})"
