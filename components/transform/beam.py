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
from typing import Any, NamedTuple, Protocol

import apache_beam as beam
import numpy as np

from components.beam_run import Meter
from components.documents import Documents
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
        blocks: Split, first byte, last byte and tokens of each block, in any order.
        symbols: Split → how often each symbol occurs.
    """

    blocks: list[tuple[str, int, int, int]] = dataclasses.field(default_factory=list)
    symbols: dict[str, Counter[Any]] = dataclasses.field(default_factory=dict)

    def add(self, more: Counts) -> None:
        """Adds what was counted elsewhere; the order makes no difference."""
        self.blocks += more.blocks
        for split, symbols in more.symbols.items():
            self.symbols.setdefault(split, Counter()).update(symbols)

    def spans(self, split: str) -> list[tuple[int, int, int]]:
        """First byte, last byte and tokens of a split's blocks, in order."""
        return sorted((start, stop, tokens) for name, start, stop, tokens in self.blocks if name == split)

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


class Addable(Protocol):
    """What is known of a part, to which what is known of other parts can be added in any order."""

    def add(self, more: Any) -> None:
        """Adds what is known of another part."""


class Add(beam.CombineFn):
    """Adds up what is known of all parts.

    Args:
        kind: Makes what is known of no part.
    """

    def __init__(self, kind: type[Addable]) -> None:
        super().__init__()
        self._kind = kind

    def create_accumulator(self) -> Addable:
        return self._kind()

    def add_input(self, accumulator: Addable, part: Addable) -> Addable:
        accumulator.add(part)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Addable]) -> Addable:
        merged = self._kind()
        for accumulator in accumulators:
            merged.add(accumulator)
        return merged

    def extract_output(self, accumulator: Addable) -> Addable:
        return accumulator


@dataclasses.dataclass(eq=False)
class Count(beam.PTransform):
    """Specifications of parts → a file with what is known of all of them, pickled.

    Attributes:
        function: Called with a part and the job; returns what it counts.
        job: What is done with each.
        kind: What `function` returns.
        path: The file to write.
    """

    function: Callable[[Any, Any], Addable]
    job: Any
    kind: type[Addable]
    path: Path

    def expand(self, parts: beam.PCollection[Any]) -> beam.PCollection[None]:
        return (
            parts
            # Reshuffle lets the workers share the parts instead of fusing the step with Create.
            | "Spread parts" >> beam.Reshuffle()
            | "Count symbols" >> beam.Map(self.function, self.job).with_output_types(self.kind)
            | "Add up" >> beam.CombineGlobally(Add(self.kind))
            | "Write counts" >> beam.Map(_write_counts, str(self.path)).with_output_types(type(None))
        )


def _write_counts(counts: Addable, path: str) -> None:
    Path(path).write_bytes(pickle.dumps(counts))


def read_counts(path: Path) -> Any:
    """Reads what `Count` wrote, and removes it."""
    counts = pickle.loads(path.read_bytes())
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
