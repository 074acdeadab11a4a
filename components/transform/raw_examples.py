"""Documents with their features as they lie in Examples, read in order and checked. Pure but for the files."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.documents import FIELDS, Documents, Feature
from components.transform.shards import ShardSpec
from components.transform.text_options import TextOptions
from components.transform.words import split_words

CLASSES = ("label", "tags")
TEXTS = ("text", "target")
_LARGEST = float(np.finfo(np.float32).max)


class FaultyDocument(ValueError):
    """A document whose features are not what they have to be."""


@dataclass(frozen=True)
class RawExamples:
    """All that is known of the documents before they are read.

    Attributes:
        splits: Split → its documents.
        features: What every document has.
        words: Text → number of its words: as many tags it has.
    """

    splits: Mapping[str, Documents]
    features: Mapping[str, Feature]
    words: Callable[[str], int]

    def read(self, spec: ShardSpec) -> Iterator[dict[str, Any]]:
        """Yields the documents of a shard: `document`, its number; `id`; and all features but the array.

        Raises:
            FaultyDocument: One lacks a feature, or has one of another kind.
        """
        documents = self.splits[spec.split]
        numbers, texts = range(spec.first, spec.stop), read_texts(documents, spec)
        fields = read_fields(documents, spec.line, len(numbers))
        rows = array_rows(documents, spec, self.features["array"]) if "array" in self.features else [0] * len(numbers)
        for document, text, known, length in zip(numbers, texts, fields, rows, strict=True):
            raw: dict[str, Any] = {"document": document, "id": known["id"]}
            for name, feature in self.features.items():
                if name != "array":
                    raw[name] = text if name == "text" else field(known, name, feature.kind)
            if "tags" in raw:
                what = ("word", self.words(text)) if "text" in self.features else ("row", length)
                _check_tags(raw["tags"], known["id"], *what)
            yield raw

    def starts(self, split: str) -> np.ndarray:
        """Bytes of text and arrays before each document, and of all: int64 [documents + 1]."""
        documents = self.splits[split]
        starts = np.asarray(documents.offsets[:, 0])
        return starts + documents.array_starts if "array" in self.features else starts

    def bytes(self, spec: ShardSpec) -> int:
        """Bytes of text and arrays of a shard."""
        documents, places = self.splits[spec.split], [spec.first, spec.stop]
        size = int(np.diff(documents.offsets[places, 0])[0])
        return size + (int(np.diff(documents.array_starts[places])[0]) if "array" in self.features else 0)


def field(fields: Mapping[str, Any], name: str, kind: str) -> Any:
    """A feature that is a field of a document.

    Raises:
        FaultyDocument: It is not what its kind asks for.
    """
    value = fields.get(name)
    if kind == "number":
        fits, what = _is_number(value), "a number that float32 holds"
    elif kind == "classes":
        fits, what = isinstance(value, list) and all(map(_is_class, value)), "a list of texts of one line"
    elif kind == "class":
        fits, what = _is_class(value), "a text of one line"
    else:
        fits, what = isinstance(value, str), "a text"
    if not fits:
        shown = repr(value) if len(repr(value)) <= 100 else repr(value)[:97] + "..."
        raise FaultyDocument(
            f"Transform: the feature {name} must be {what} in every document. Received: {name}={shown} in the document "
            f"{fields['id']!r}. Correct the document, or take it out."
        )
    return value


def _is_class(value: Any) -> bool:
    return isinstance(value, str) and "\n" not in value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _check_tags(tags: list[str], document: str, what: str, count: int) -> None:
    if len(tags) != count:
        source = "text (parted by single blanks)" if what == "word" else "array"
        raise FaultyDocument(
            f"Transform: a document must have one of tags for each {what} of its {source}. Received: {len(tags)} tags "
            f"for {count} {what}s in the document {document!r}. Correct the document, or take it out."
        )


def count_blank_words(text: str) -> int:
    """Number of words that are parted by single blanks; an empty text has none."""
    return text.count(" ") + 1 if text else 0


@dataclass(frozen=True)
class CountTokens:
    """Number of a text's words as the tokenizer `word` sees them."""

    options: TextOptions

    def __call__(self, text: str) -> int:
        return len(split_words(self.options.apply(text)))


def read_texts(documents: Documents, spec: ShardSpec) -> Iterator[str]:
    """Yields the text of each document of a shard."""
    starts = documents.offsets[spec.first : spec.stop + 1, 0].tolist()
    with documents.text.open("rb") as file:
        file.seek(starts[0])
        for start, stop in itertools.pairwise(starts):
            yield file.read(stop - start).decode("utf-8")


def read_fields(documents: Documents, line: int, count: int) -> Iterator[dict[str, Any]]:
    """Yields the fields of `count` documents, the first of which has its line at a byte of `documents.jsonl`."""
    with (documents.folder / FIELDS).open("rb") as file:
        file.seek(line)
        for raw in itertools.islice(file, count):
            yield json.loads(raw)


def array_rows(documents: Documents, spec: ShardSpec, feature: Feature) -> list[int]:
    """Length of the first axis of each array of a shard."""
    sizes = np.diff(documents.array_starts[spec.first : spec.stop + 1])
    return (sizes // row_bytes(feature)).tolist()


def row_bytes(feature: Feature) -> int:
    """Bytes of one step along an array's first axis."""
    dtype, shape = array_type(feature)
    return dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))


def array_type(feature: Feature) -> tuple[np.dtype, tuple[int, ...]]:
    """Type of the numbers on disk, and the shape, -1 where it varies."""
    if feature.dtype is None or feature.shape is None:
        raise ValueError(
            f"Transform: the feature array must say its dtype and its shape. Received: {feature}. Run the example_gen "
            "stage again."
        )
    return np.dtype(feature.dtype).newbyteorder("<"), tuple(-1 if n is None else n for n in feature.shape)
