"""The manifest of the transformed examples: how much there is, and how it is cut."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from components.transform.lanes import SplitLayout

FILE_NAME = "manifest.json"


@dataclass(frozen=True)
class SplitManifest:
    """Counts of one split.

    Attributes:
        documents, characters: What was read.
        tokens: Length of the stream: the documents' tokens, an `<end>` for each, and one more.
        predictions: tokens - 1. Examples are stored as their tokens alone: no `<end>`, and 0 predictions.
        unknown, unknown_rate: Tokens outside the vocabulary, and their share of the documents' tokens.
        lanes: Number of lanes; 0 where the records are examples.
        windows: Windows in each lane.
        padding: Positions of weight 0, at the ends of the lanes.
        dropped_tail: Tokens that are in no window. Always 0: the tail is padded, not dropped.
    """

    documents: int
    characters: int
    tokens: int
    predictions: int
    unknown: int
    unknown_rate: float
    lanes: int
    windows: int
    padding: int
    dropped_tail: int = 0

    @property
    def scored_characters(self) -> int:
        """What bits per character are per: every character, and the end of every document counts as one."""
        return self.characters + self.documents

    @classmethod
    def of(cls, layout: SplitLayout, documents: int, characters: int, unknown: int) -> Self:
        """Counts of a split that is cut as `layout` says."""
        return cls(
            documents=documents,
            characters=characters,
            tokens=layout.predictions + 1,
            predictions=layout.predictions,
            unknown=unknown,
            unknown_rate=unknown / max(layout.predictions - documents, 1),
            lanes=layout.lanes,
            windows=layout.windows,
            padding=layout.padding,
        )

    @classmethod
    def of_examples(cls, documents: int, characters: int, tokens: int, unknown: int) -> Self:
        """Counts of a split whose records are examples of `tokens` tokens in all."""
        rate = unknown / max(tokens, 1)
        return cls(documents, characters, tokens, 0, unknown, rate, lanes=0, windows=0, padding=0)


@dataclass(frozen=True)
class FeatureInfo:
    """How a feature of the examples is stored.

    Attributes:
        kind: `tokens` (ids of a text), `class`, `classes`, `number` or `array`.
        dtype: NumPy name of the stored little-endian type.
        size: Number of ids, of tokens and classes.
        shape: Of a document's array; None where it varies.
    """

    kind: str
    dtype: str
    size: int | None = None
    shape: tuple[int | None, ...] | None = None

    @property
    def stored(self) -> np.dtype:
        """Type of the numbers on disk."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item along the first axis."""
        return () if self.shape is None else tuple(n or 0 for n in self.shape[1:])

    @property
    def is_scalar(self) -> bool:
        """Whether a document has one number."""
        return self.kind in ("class", "number")

    @property
    def is_ragged(self) -> bool:
        """Whether the length of the first axis varies."""
        return self.kind in ("tokens", "classes") or (self.shape is not None and self.shape[0] is None)


@dataclass(frozen=True)
class Manifest:
    """What a reader has to know about a folder of lanes or examples.

    Attributes:
        vocabulary_size: Number of token ids; 0 without text.
        window_length: Steps in a window; a record holds one token more.
        dtype: NumPy name of the stored little-endian token type.
        splits: Split → its counts.
        records: `lanes` of windows, or `examples`, a record for each document.
        features: Of the examples; none for lanes.
    """

    vocabulary_size: int
    window_length: int
    dtype: str
    splits: dict[str, SplitManifest]
    records: str = "lanes"
    features: dict[str, FeatureInfo] = dataclasses.field(default_factory=dict)

    def require(self, records: str, folder: Path) -> None:
        """Checks that the records are of a kind.

        Raises:
            ValueError: They are of the other one.
        """
        if self.records != records:
            raise ValueError(
                f"Transformed examples: this reader must be given {records}. Received: {folder} with {self.records}. "
                f"Set transform.records={records} and run the transform stage again."
            )

    def layout(self, split: str) -> SplitLayout:
        """How a split's stream is cut."""
        counts = self.splits[split]
        return SplitLayout(counts.predictions, counts.lanes, self.window_length)

    def save(self, folder: Path) -> None:
        """Writes `manifest.json`."""
        content = dataclasses.asdict(self)
        content["features"] = to_json(self.features)
        (folder / FILE_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""
        content = json.loads((folder / FILE_NAME).read_text("utf-8"))
        content["splits"] = {name: SplitManifest(**counts) for name, counts in content["splits"].items()}
        content["features"] = from_json(content["features"])
        return cls(**content)


def to_json(features: Mapping[str, FeatureInfo]) -> dict[str, dict[str, Any]]:
    """What is known of features as JSON values; what one does not have is left out."""
    infos = {name: dataclasses.asdict(info) for name, info in features.items()}
    return {name: {key: value for key, value in info.items() if value is not None} for name, info in infos.items()}


def from_json(content: Mapping[str, Mapping[str, Any]]) -> dict[str, FeatureInfo]:
    """Reads what `to_json` returned."""
    return {name: _info(**info) for name, info in content.items()}


def _info(shape: Sequence[int | None] | None = None, **others: Any) -> FeatureInfo:
    return FeatureInfo(shape=None if shape is None else tuple(shape), **others)
