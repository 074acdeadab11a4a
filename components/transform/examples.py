"""Reads examples: one feature's records, or all features of a split in batches. NumPy only, for every backend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.documents import FIELDS
from components.transform.buckets import divide
from components.transform.manifest import FeatureInfo, Manifest
from components.transform.records import FRAME_BYTES, HEADER_BYTES


class ExampleReader:
    """One feature of the examples of a split.

    Args:
        folder: The transformed examples.
        split: Name of the split.
        feature: Name of the feature.

    Attributes:
        info: How it is stored.
        lengths: Items of each example along the first axis, 1 for a scalar: int32 [examples].

    Raises:
        ValueError: There is no such feature, or a file is damaged.
    """

    def __init__(self, folder: Path, split: str, feature: str = "tokens") -> None:
        manifest = Manifest.load(folder)
        manifest.require("examples", folder)
        if feature not in manifest.features:
            raise ValueError(
                f"ExampleReader: the feature must be one of {', '.join(manifest.features)}. Received: "
                f"feature={feature!r} of {folder}. Give every document what is missing, and run the pipeline again."
            )
        self.info: FeatureInfo = manifest.features[feature]
        self._item_bytes = self.info.stored.itemsize * int(np.prod(self.info.item_shape, dtype=np.int64))
        self._paths = sorted((folder / f"Split-{split}").glob(f"{feature}-*.tfrecord"))
        self._places = [_places(path) for path in self._paths]
        sizes = np.concatenate([np.diff(places) for places in self._places]) - FRAME_BYTES
        self.lengths = (sizes // self._item_bytes).astype(np.int32)
        self._first = np.cumsum([0, *(len(places) - 1 for places in self._places)])

    def __len__(self) -> int:
        return len(self.lengths)

    def read(self, example: int) -> np.ndarray:
        """The numbers of one example, in their stored type: [], [items] or the array's shape."""
        shard = int(np.searchsorted(self._first, example, "right")) - 1
        start = int(self._places[shard][example - self._first[shard]]) + HEADER_BYTES
        length = int(self.lengths[example])
        numbers = np.array(self._shards[shard][start : start + length * self._item_bytes]).view(self.info.stored)
        return numbers.reshape(() if self.info.is_scalar else (length, *self.info.item_shape))

    @cached_property
    def _shards(self) -> list[np.ndarray]:
        # An empty file cannot be mapped, and need not.
        return [
            np.asarray(np.memmap(path, mode="r")) if path.stat().st_size else np.zeros(0, np.uint8)
            for path in self._paths
        ]

    def scalars(self) -> np.ndarray:
        """The numbers of all examples of a feature that has one each, in their stored type [examples]."""
        if not self.info.is_scalar:
            raise ValueError(
                f"ExampleReader: the feature must have one number an example. Received: kind={self.info.kind!r}. Use "
                "read instead."
            )
        record = np.dtype([("header", "V", HEADER_BYTES), ("number", self.info.stored), ("crc", "<u4")])
        return np.concatenate([np.asarray(shard).view(record)["number"] for shard in self._shards])


def _places(path: Path) -> np.ndarray:
    places = np.load(path.with_suffix(".npy"), mmap_mode="r")
    if path.stat().st_size != places[-1]:
        raise ValueError(
            f"ExampleReader: a shard must be as long as its index says, {places[-1]} bytes. Received: {path} of "
            f"{path.stat().st_size} bytes. It is damaged: run the transform stage again."
        )
    return places


class ExampleBatch(NamedTuple):
    """Examples of about one length.

    Attributes:
        features: Each feature, zeros after an example's end and in filling rows. `tokens` and `target`: int32 [batch,
            timesteps]; `label`: int32 [batch]; `tags`: int32 [batch, timesteps]; `value`: float32 [batch]; `array`: its
            own type [batch, timesteps, …], or [batch, …] where no axis varies.
        lengths: Items of each example in each ragged feature, int32 [batch].
        weights: 1 for an example, 0 for a row that only fills the batch: float32 [batch].
        examples: Their numbers in the split, -1 for a filling row: int64 [batch].
    """

    features: dict[str, np.ndarray]
    lengths: dict[str, np.ndarray]
    weights: np.ndarray
    examples: np.ndarray


class Examples:
    """The examples of a split.

    Args:
        folder: The transformed examples.
        split: Name of the split.

    Attributes:
        features: Name → how it is stored.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self.features: dict[str, FeatureInfo] = Manifest.load(folder).features
        self._readers = {name: ExampleReader(folder, split, name) for name in self.features}
        self._scalars = {name: self._readers[name].scalars() for name, info in self.features.items() if info.is_scalar}
        self._ragged = [name for name, info in self.features.items() if info.is_ragged]
        self._documents = folder / f"Split-{split}" / FIELDS

    def __len__(self) -> int:
        return len(next(iter(self._readers.values())))

    def lengths(self, feature: str) -> np.ndarray:
        """Items of each example along a feature's first axis, 1 for a scalar: int32 [examples]."""
        return self._readers[feature].lengths

    def read(self, feature: str, example: int) -> np.ndarray:
        """A feature of one example, in its stored type."""
        return self._readers[feature].read(example)

    def scalars(self, feature: str) -> np.ndarray:
        """The numbers of all examples of a feature that has one each, in their stored type [examples]."""
        return self._scalars[feature]

    def fields(self) -> Iterator[dict[str, Any]]:
        """Yields what is known of each document: its `id`, and whatever its source said besides."""
        with self._documents.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)

    def _bucketed(self, buckets: int, features: Sequence[str] | None) -> list[np.ndarray]:
        """Numbers of the examples of each bucket, in order: int64 [members].

        By what is written, if it is among `features`: each of its tokens has a readout, which costs more than reading.
        Then by what is read, the tokens or else the array.
        """
        if not len(self):
            return []
        varying = [name for name in self._ragged if features is None or name in features]
        chosen = ["target"] if "target" in varying else []
        chosen += [name for name in ("tokens", "array") if name in varying][:1]
        lengths = [np.maximum(self.lengths(name), 1) for name in chosen]
        return divide(lengths or [np.ones(len(self), np.int32)], buckets)

    def batch_count(self, batch_size: int, buckets: int = 8, features: Sequence[str] | None = None) -> int:
        """Number of batches that `batches` yields from its first on; arguments as there."""
        return sum(-(-len(members) // batch_size) for members in self._bucketed(buckets, features))

    def batches(
        self, batch_size: int, seed: int, first: int = 0, buckets: int = 8, features: Sequence[str] | None = None
    ) -> Iterator[ExampleBatch]:
        """Yields every example once, in an order that `seed` decides; batches are of one bucket each.

        Args:
            batch_size: Rows of every batch; the last one of a bucket is filled up.
            seed: Another for each epoch.
            first: Batch to start at. None before it is read.
            buckets: How many shapes there are; more of them means less padding and more to compile.
            features: Those that are read; all of them if not given.
        """
        random = np.random.default_rng(seed)
        order = []
        for members in self._bucketed(buckets, features):
            widths = self._widths(members, features)
            mixed = random.permutation(members)
            order += [(widths, mixed[i : i + batch_size]) for i in range(0, len(mixed), batch_size)]
        for index in random.permutation(len(order))[first:]:
            widths, rows = order[index]
            yield self._batch(rows, batch_size, widths)

    def in_order(
        self, batch_size: int, buckets: int = 8, features: Sequence[str] | None = None
    ) -> Iterator[ExampleBatch]:
        """Yields every example once, the shortest bucket first, and in each by number: the same batches every time.

        Args:
            batch_size: Rows of every batch; the last one of a bucket is filled up.
            buckets: How many shapes there are.
            features: Those that are read; all of them if not given.
        """
        for members in self._bucketed(buckets, features):
            widths = self._widths(members, features)
            for i in range(0, len(members), batch_size):
                yield self._batch(members[i : i + batch_size], batch_size, widths)

    def _widths(self, members: np.ndarray, features: Sequence[str] | None) -> dict[str, int | None]:
        """The features to be read → their longest in a bucket, None of those that do not vary.

        All batches of a bucket have one shape.
        """
        return {
            name: max(int(self.lengths(name)[members].max()), 1) if name in self._ragged else None
            for name in (self.features if features is None else features)
        }

    def _batch(self, rows: np.ndarray, batch_size: int, widths: dict[str, int | None]) -> ExampleBatch:
        filling = batch_size - len(rows)
        return ExampleBatch(
            features={name: self._column(name, rows, batch_size, width) for name, width in widths.items()},
            lengths={name: np.pad(self.lengths(name)[rows], (0, filling)) for name in widths if name in self._ragged},
            weights=np.pad(np.ones(len(rows), np.float32), (0, filling)),
            examples=np.pad(rows, (0, filling), constant_values=-1),
        )

    def _column(self, name: str, rows: np.ndarray, batch_size: int, width: int | None) -> np.ndarray:
        info = self.features[name]
        dtype = np.dtype(info.dtype) if info.kind in ("array", "number") else np.dtype(np.int32)
        if info.is_scalar:
            return np.pad(self._scalars[name][rows].astype(dtype), (0, batch_size - len(rows)))
        column = np.zeros((batch_size, *self._shape(info, width)), dtype)
        for row, example in enumerate(rows.tolist()):
            numbers = self.read(name, example)
            column[row, : len(numbers)] = numbers
        return column

    @staticmethod
    def _shape(info: FeatureInfo, width: int | None) -> Sequence[int]:
        if width is not None:
            return (width, *info.item_shape)
        return tuple(n or 0 for n in info.shape or ())
