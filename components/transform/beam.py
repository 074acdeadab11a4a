"""The two Beam passes of Transform: blocks of text → counts, lane specifications → shards.

An element is a byte range or a lane, never a character or a document: the payload stays out of Beam. TensorFlow stays
out of the workers.
"""

from __future__ import annotations

import dataclasses
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np

from components.beam_run import Meter
from components.documents import Documents
from components.transform.examples import ShardSpec, write_shard
from components.transform.lanes import LaneSpec, SplitLayout
from components.transform.records import LaneWriter, lane_file, token_dtype
from components.transform.text_blocks import count_block, encode_block, openings
from components.transform.tokenizers import Tokenizer


class Block(NamedTuple):
    """A byte range of a split's text."""

    split: str
    start: int
    stop: int


@dataclasses.dataclass
class Counts:
    """What is known of a corpus after the first pass.

    Attributes:
        blocks: Split, first byte, last byte and tokens of each block, in order.
        symbols: Split → how often each symbol occurs.
    """

    blocks: list[tuple[str, int, int, int]] = dataclasses.field(default_factory=list)
    symbols: dict[str, Counter[Any]] = dataclasses.field(default_factory=dict)

    def spans(self, split: str) -> list[tuple[int, int, int]]:
        """First byte, last byte and tokens of a split's blocks."""
        return [(start, stop, tokens) for name, start, stop, tokens in self.blocks if name == split]

    def tokens(self, split: str) -> int:
        """Tokens of a split, an `<end>` for each document included, but for the one that closes it."""
        return sum(tokens for *_, tokens in self.spans(split))


@dataclasses.dataclass(frozen=True)
class CountJob:
    """What the first pass does with every block.

    Attributes:
        splits: Split → its documents.
        count: Text → how often each symbol occurs in it; its total is the number of tokens.
        anywhere: The documents' borders make no difference to `count`.
        meter: Is told what is done.
    """

    splits: Mapping[str, Documents]
    count: Callable[[str], Counter[Any]]
    anywhere: bool
    meter: Meter


@dataclasses.dataclass(frozen=True)
class LaneJob:
    """What all lanes of a Transform have in common.

    Attributes:
        splits: Split → its documents.
        layouts: Split → how its stream is cut.
        tokenizer: Text to ids.
        folder: Where the `Split-S` folders are.
        meter: Is told what is done.
    """

    splits: Mapping[str, Documents]
    layouts: Mapping[str, SplitLayout]
    tokenizer: Tokenizer
    folder: str
    meter: Meter


def count(block: Block, job: CountJob) -> Counts:
    """Counts the tokens and symbols of one block."""
    documents = job.splits[block.split]
    tokens, symbols = count_block(documents, block.start, block.stop, job.count, job.anywhere)
    first, last = openings(documents, block.start, block.stop)
    job.meter.add(documents=last - first, tokens=tokens, bytes=block.stop - block.start)
    return Counts([(*block, tokens)], {block.split: symbols})


class MergeCounts(beam.CombineFn):
    """Adds up counts; the order in which they come makes no difference."""

    def create_accumulator(self) -> Counts:
        return Counts()

    def add_input(self, accumulator: Counts, counts: Counts) -> Counts:
        accumulator.blocks += counts.blocks
        for split, symbols in counts.symbols.items():
            accumulator.symbols.setdefault(split, Counter()).update(symbols)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Counts]) -> Counts:
        merged = Counts()
        for accumulator in accumulators:
            self.add_input(merged, accumulator)
        return merged

    def extract_output(self, accumulator: Counts) -> Counts:
        return Counts(sorted(accumulator.blocks), accumulator.symbols)


@dataclasses.dataclass(eq=False)
class CountBlocks(beam.PTransform):
    """Blocks → a file with the pickled `Counts` of all of them.

    Attributes:
        job: What is done with each.
        path: The file to write.
    """

    job: CountJob
    path: Path

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[None]:
        return (
            blocks
            # Reshuffle lets the workers share the blocks instead of fusing the step with Create.
            | "Spread blocks" >> beam.Reshuffle()
            | "Count symbols" >> beam.Map(count, self.job).with_output_types(Counts)
            | "Add up" >> beam.CombineGlobally(MergeCounts())
            | "Write counts" >> beam.Map(_write_counts, str(self.path)).with_output_types(type(None))
        )


def _write_counts(counts: Counts, path: str) -> None:
    Path(path).write_bytes(pickle.dumps(counts))


def read_counts(path: Path) -> Counts:
    """Reads what `CountBlocks` wrote, and removes it."""
    counts: Counts = pickle.loads(path.read_bytes())
    path.unlink()
    return counts


def lane_tokens(spec: LaneSpec, documents: Documents, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """Yields the token ids of a lane, a block of text at a time."""
    left, skip = spec.tokens, spec.skip
    for start, stop in spec.blocks:
        ids = encode_block(documents, start, stop, tokenizer)[skip:][:left]
        yield ids
        left, skip = left - len(ids), 0
    # What no block holds is the `<end>` that closes the split.
    yield np.full(left, tokenizer.end)


def write_lane(spec: LaneSpec, job: LaneJob) -> None:
    """Writes one lane's shard, whole or not at all."""
    layout, documents = job.layouts[spec.split], job.splits[spec.split]
    path = Path(job.folder) / f"Split-{spec.split}" / lane_file(spec.lane, layout.lanes)
    with LaneWriter(path, layout.window_length, layout.windows, token_dtype(len(job.tokenizer))) as writer:
        for tokens, (start, stop) in zip(
            lane_tokens(spec, documents, job.tokenizer), [*spec.blocks, (0, 0)], strict=True
        ):
            writer.write(tokens)
            job.meter.add(tokens=len(tokens), bytes=stop - start)


@dataclasses.dataclass(frozen=True)
class ExamplesJob:
    """What all shards of examples have in common; the attributes are those of `LaneJob`."""

    splits: Mapping[str, Documents]
    tokenizer: Tokenizer
    folder: str
    meter: Meter


def write_examples(spec: ShardSpec, job: ExamplesJob) -> None:
    """Writes one shard of examples."""
    documents = job.splits[spec.split]
    tokens = write_shard(spec, documents, job.tokenizer, Path(job.folder) / f"Split-{spec.split}")
    start, stop = documents.offsets[[spec.first, spec.stop], 0].tolist()
    job.meter.add(documents=spec.stop - spec.first, tokens=tokens, bytes=stop - start)
