"""Ragged records: shards of documents, and each feature of a shard as a file of one record a document.

A file holds TFRecords (`tf.data.TFRecordDataset` reads it); beside it lies an array of where each starts, so that any
record is found by looking up its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.documents import FIELDS, Documents
from components.transform.records import tfrecord

# Small beside a corpus, so that workers share it; a shard's documents are read one at a time.
SHARD_BYTES = 16 << 20
_BYTES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class ShardSpec:
    """All that a worker needs in order to read and write one shard.

    Attributes:
        split: Name of the split.
        shard, shards: Number of the shard, and of all of them.
        first, stop: Which documents.
        line: Byte of `documents.jsonl` at which the first document's line starts.
    """

    split: str
    shard: int
    shards: int
    first: int
    stop: int
    line: int

    def file(self, feature: str) -> str:
        """File name of a feature's part of the shard."""
        return f"{feature}-{self.shard:05d}-of-{self.shards:05d}.tfrecord"


def shard_specs(split: str, documents: Documents, starts: np.ndarray, size: int) -> list[ShardSpec]:
    """Divides a split among shards; their number depends on the documents alone.

    Args:
        split: Name of the split.
        documents: Its documents.
        starts: Bytes before each document, and of all: int64 [documents + 1].
        size: About how many bytes a shard has.
    """
    shards = max(1, -(-int(starts[-1]) // size))
    # A document belongs to the shard in which it starts.
    borders = [int(np.searchsorted(starts[:-1], shard * size)) for shard in range(shards)]
    ranges = zip(borders, [*borders[1:], len(documents)], line_starts(documents.folder / FIELDS, borders), strict=True)
    return [ShardSpec(split, shard, shards, *places) for shard, places in enumerate(ranges)]


def line_starts(path: Path, lines: Iterable[int]) -> list[int]:
    """Bytes at which some lines of a file start, by their numbers from 0."""
    wanted = np.asarray([*lines])
    starts, seen, offset = np.zeros(len(wanted), np.int64), 0, 0
    with path.open("rb") as file:
        while chunk := file.read(_BYTES_AT_ONCE):
            ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == ord("\n"))
            here = (seen < wanted) & (wanted <= seen + len(ends))
            starts[here] = offset + ends[wanted[here] - seen - 1] + 1
            seen, offset = seen + len(ends), offset + len(chunk)
    return starts.tolist()


def write_shard(
    spec: ShardSpec, dtypes: Mapping[str, np.dtype], examples: Iterable[Mapping[str, np.ndarray]], folder: Path
) -> dict[str, int]:
    """Writes one shard, whole or not at all.

    Args:
        spec: The shard.
        dtypes: Feature → type of the stored numbers.
        examples: Numbers of each feature of each document, in order.
        folder: `Split-S`.

    Returns:
        Bytes of each feature's records.
    """
    files: dict[str, _FeatureFile] = {}
    try:
        for feature, dtype in dtypes.items():
            files[feature] = _FeatureFile(folder / spec.file(feature), dtype)
        for example in examples:
            for feature, file in files.items():
                file.write(example[feature])
        for file in files.values():
            file.finish()
        for file in files.values():
            file.publish()
    finally:
        for file in files.values():
            file.remove()
    return {feature: file.starts[-1] for feature, file in files.items()}


class _FeatureFile:
    """One feature's part of a shard while it is written, under names of the worker's own.

    Beam may run a shard twice at a time.
    """

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        self.starts = [0]
        self._path, self._dtype = path, dtype.newbyteorder("<")
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._index = self._temporary.with_suffix(".npy")
        self._file = self._temporary.open("wb")

    def write(self, numbers: np.ndarray) -> None:
        self.starts.append(self.starts[-1] + self._file.write(tfrecord(numbers, self._dtype)))

    def finish(self) -> None:
        self._file.close()
        np.save(self._index, np.asarray(self.starts, np.int64))

    def publish(self) -> None:
        self._index.replace(self._path.with_suffix(".npy"))
        self._temporary.replace(self._path)

    def remove(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)
        self._index.unlink(missing_ok=True)
