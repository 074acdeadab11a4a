"""Ragged records: every document's tokens as one record, for tasks that read examples whole; and batches of them.

A shard is a file of TFRecords (`tf.data.TFRecordDataset` reads it) and an array of where each starts, so that any
record is found by looking up its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.documents import Documents
from components.transform.manifest import Manifest
from components.transform.records import FRAME_BYTES, HEADER_BYTES, tfrecord, token_dtype
from components.transform.tokenizers import Tokenizer

# Small beside a corpus, so that workers share it; a shard's texts are read one at a time.
SHARD_BYTES = 16 << 20


@dataclass(frozen=True)
class ShardSpec:
    """All that a worker needs in order to write one shard.

    Attributes:
        split: Name of the split.
        shard, shards: Number of the shard, and of all of them.
        first, stop: Which documents.
    """

    split: str
    shard: int
    shards: int
    first: int
    stop: int

    @property
    def file(self) -> str:
        """File name of the shard."""
        return f"examples-{self.shard:05d}-of-{self.shards:05d}.tfrecord"


def shard_specs(split: str, documents: Documents, size: int) -> list[ShardSpec]:
    """Divides a split among shards of about `size` bytes of text; their number depends on the documents alone."""
    shards = max(1, -(-documents.bytes // size))
    # A document belongs to the shard in which it starts.
    borders = [int(np.searchsorted(documents.offsets[:-1, 0], shard * size)) for shard in range(shards)]
    ranges = zip(borders, [*borders[1:], len(documents)], strict=True)
    return [ShardSpec(split, shard, shards, first, stop) for shard, (first, stop) in enumerate(ranges)]


def write_shard(spec: ShardSpec, documents: Documents, tokenizer: Tokenizer, folder: Path) -> int:
    """Writes one shard, whole or not at all.

    Returns:
        Number of tokens.
    """
    dtype, path = token_dtype(len(tokenizer)), folder / spec.file
    # Names of the worker's own: Beam may run a shard twice at a time.
    starts, temporary = [0], path.with_name(f".{path.name}.{os.getpid()}")
    index = temporary.with_suffix(".npy")
    try:
        with temporary.open("wb") as file:
            for document in range(spec.first, spec.stop):
                starts.append(starts[-1] + file.write(tfrecord(tokenizer.encode(documents.read(document)), dtype)))
        np.save(index, np.asarray(starts, np.int64))
        index.replace(path.with_suffix(".npy"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        index.unlink(missing_ok=True)
    return int((np.diff(starts) - FRAME_BYTES).sum()) // dtype.itemsize


class Batch(NamedTuple):
    """Examples of about one length.

    Attributes:
        tokens: int32 [batch, bucket]: each example, then zeros.
        lengths: int32 [batch]: tokens of each.
        examples: int64 [batch]: their numbers in the split.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    examples: np.ndarray


class ExampleReader:
    """The examples of one split: any of them, or all in batches of about equal length. NumPy only.

    Args:
        folder: The transformed examples.
        split: Name of the split.
    """

    def __init__(self, folder: Path, split: str) -> None:
        manifest = Manifest.load(folder)
        manifest.require("examples", folder)
        self._dtype = np.dtype(manifest.dtype).newbyteorder("<")
        self._shards, starts = [], []
        for path in sorted((folder / f"Split-{split}").glob("*.tfrecord")):
            places = np.load(path.with_suffix(".npy"), mmap_mode="r")
            if path.stat().st_size != places[-1]:
                raise ValueError(
                    f"ExampleReader: a shard must be as long as its index says, {places[-1]} bytes. Received: {path} "
                    f"of {path.stat().st_size} bytes. It is damaged: run the transform stage again."
                )
            self._shards.append((path, places))
            starts.append(np.diff(places))
        self.lengths = ((np.concatenate(starts) - FRAME_BYTES) // self._dtype.itemsize).astype(np.int32)
        self._first = np.cumsum([0, *(len(places) - 1 for _, places in self._shards)])

    def __len__(self) -> int:
        return len(self.lengths)

    def tokens(self, example: int) -> np.ndarray:
        """Token ids of one example, in their stored type [tokens]."""
        shard = int(np.searchsorted(self._first, example, "right")) - 1
        path, places = self._shards[shard]
        offset = int(places[example - self._first[shard]]) + HEADER_BYTES
        return np.fromfile(path, self._dtype, int(self.lengths[example]), offset=offset)

    def buckets(self, count: int) -> list[int]:
        """Lengths to which examples are filled up: as many quantiles of all lengths, the longest at the end."""
        shares = np.arange(1, count + 1) / count
        return sorted({int(n) for n in np.quantile(np.maximum(self.lengths, 1), shares, method="higher")})

    def batch_count(self, batch_size: int, buckets: int = 8) -> int:
        """Number of batches that `batches` yields from its first on."""
        bucket_of = np.searchsorted(self.buckets(buckets), self.lengths)
        return int((-(-np.bincount(bucket_of) // batch_size)).sum())

    def batches(self, batch_size: int, seed: int, first: int = 0, buckets: int = 8) -> Iterator[Batch]:
        """Yields every example once, in an order that `seed` decides; batches are of one bucket each.

        Args:
            batch_size: Examples in a batch; the last of a bucket may have fewer.
            seed: Another for each epoch.
            first: Batch to start at. None before it is read.
            buckets: How many lengths there are; more of them means less padding and more shapes to compile for.
        """
        lengths = self.buckets(buckets)
        random = np.random.default_rng(seed)
        bucket_of = np.searchsorted(lengths, self.lengths)
        order = []
        for bucket in range(len(lengths)):
            members = random.permutation(np.flatnonzero(bucket_of == bucket))
            order += [(bucket, members[i : i + batch_size]) for i in range(0, len(members), batch_size)]
        for index in random.permutation(len(order))[first:]:
            bucket, members = order[index]
            tokens = np.zeros((len(members), lengths[bucket]), np.int32)
            for row, example in enumerate(members.tolist()):
                tokens[row, : self.lengths[example]] = self.tokens(example)
            yield Batch(tokens, self.lengths[members], members)


def example_stream(reader: ExampleReader, end: int) -> np.ndarray:
    """The examples one after the other as a token stream `<end> c1 … cn <end> … <end>`, int32 [tokens]."""
    pieces = [np.asarray([end], np.int32)]
    for example in range(len(reader)):
        pieces += [reader.tokens(example).astype(np.int32), pieces[0]]
    return np.concatenate(pieces)
