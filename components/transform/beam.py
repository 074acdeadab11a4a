"""The two Beam passes of Transform: blocks of text → character counts, lane specifications → shards.

An element is a byte range or a lane, never a character or a document: the payload stays out of Beam. TensorFlow stays
out of the workers.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from components.transform.lanes import LaneSpec, SplitLayout
from components.transform.records import LaneWriter, lane_file, token_dtype
from components.transform.text_blocks import count_characters, read_block
from components.transform.vocabulary import Vocabulary


class Block(NamedTuple):
    """A byte range of a split's text."""

    split: str
    start: int
    stop: int


class BlockCounts(NamedTuple):
    """A block, and how often each code point occurs in it."""

    split: str
    start: int
    stop: int
    counts: list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class LaneJob:
    """What all lanes of a Transform have in common.

    Attributes:
        texts: Split → path of its text.
        layouts: Split → how its stream is cut.
        vocabulary: Token ids.
        folder: Where the `Split-S` folders are.
    """

    texts: Mapping[str, str]
    layouts: Mapping[str, SplitLayout]
    vocabulary: Vocabulary
    folder: str


def count_block(block: Block, texts: Mapping[str, str]) -> BlockCounts:
    """Counts the characters of one block.

    Args:
        block: Which bytes.
        texts: Split → path of its text.
    """
    text = read_block(Path(texts[block.split]), block.start, block.stop)
    return BlockCounts(*block, sorted(count_characters(text).items()))


def lane_tokens(spec: LaneSpec, text: Path, vocabulary: Vocabulary) -> Iterator[np.ndarray]:
    """Yields the token ids of a lane, a block of text at a time."""
    characters = spec.tokens - len(spec.ends)
    # Characters of the lane that come before each `<end>`.
    slots = np.asarray(spec.ends, np.int64) - np.arange(len(spec.ends))
    done, skip = 0, spec.skip
    for start, stop in spec.blocks:
        ids = vocabulary.encode(read_block(text, start, stop)[skip:])[: characters - done]
        here = slots[(slots >= done) & (slots < done + len(ids))]
        yield np.insert(ids, here - done, vocabulary.end)
        done, skip = done + len(ids), 0
    yield np.full(np.count_nonzero(slots >= done), vocabulary.end)


def write_lane(spec: LaneSpec, job: LaneJob) -> None:
    """Writes one lane's shard, whole or not at all."""
    layout = job.layouts[spec.split]
    path = Path(job.folder) / f"Split-{spec.split}" / lane_file(spec.lane, layout.lanes)
    with LaneWriter(path, layout.window_length, layout.windows, token_dtype(len(job.vocabulary))) as writer:
        for tokens in lane_tokens(spec, Path(job.texts[spec.split]), job.vocabulary):
            writer.write(tokens)
    Metrics.counter("transform", "lanes").inc()
    Metrics.counter("transform", "tokens").inc(spec.tokens)


@dataclasses.dataclass(eq=False)
class CountBlocks(beam.PTransform):
    """Blocks → a JSON file with the counts of all of them, in order of split and start.

    Attributes:
        texts: Split → path of its text.
        path: The file to write.
    """

    texts: Mapping[str, str]
    path: Path

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[None]:
        return (
            blocks
            # Reshuffle lets the workers share the blocks instead of fusing the step with Create.
            | "Spread blocks" >> beam.Reshuffle()
            | "Count characters" >> beam.Map(count_block, dict(self.texts)).with_output_types(BlockCounts)
            | "Collect counts" >> beam.combiners.ToList()
            | "Write counts" >> beam.Map(_write_counts, str(self.path)).with_output_types(type(None))
        )


def _write_counts(counts: Iterable[BlockCounts], path: str) -> None:
    Path(path).write_text(json.dumps(sorted(counts)), encoding="utf-8")


@dataclasses.dataclass(eq=False)
class WriteLanes(beam.PTransform):
    """Lane specifications → shards."""

    job: LaneJob

    def expand(self, specs: beam.PCollection[LaneSpec]) -> beam.PCollection[None]:
        return (
            specs
            | "Spread lanes" >> beam.Reshuffle()
            | "Write lanes" >> beam.Map(write_lane, self.job).with_output_types(type(None))
        )
