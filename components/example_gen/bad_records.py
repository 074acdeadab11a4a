"""What happens to records that cannot be read: the first one stops the run, or all are listed and left out."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.example_gen.assemble import StagedCorpus
from components.example_gen.features import NO_AXIS
from components.example_gen.groups import Job, Piece
from components.example_gen.parsed import BadRecord
from components.example_gen.staging import BAD, ORIGINS

FILE = "bad_records.jsonl"


class Found(NamedTuple):
    """A bad record and where it is.

    Attributes:
        place: Orders bad records as the corpus does.
        piece: The piece of the corpus that it is in.
        record: What is wrong.
    """

    place: tuple[int, int, int]
    piece: Piece
    record: BadRecord


@dataclass(frozen=True, eq=False)
class Marked:
    """Documents that could be read and are bad beside the others.

    Attributes:
        again: What `repeated` found.
        odd: What `misshapen` found.
        unseen: What `unseen_classes` found among the others.
    """

    again: np.ndarray
    odd: np.ndarray
    unseen: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    def left(self) -> np.ndarray:
        """Those that are not among them: bool [documents]."""
        left = ~(self.again | self.odd)
        left[list(self.unseen)] = False
        return left


def bad_records(corpus: StagedCorpus, marked: Marked) -> Iterator[Found]:
    """Yields the bad records in the order of the corpus.

    Args:
        corpus: What was staged, and what parsers met.
        marked: Documents that were found bad afterwards.
    """
    unseen = np.zeros(len(marked.odd), bool)
    unseen[list(marked.unseen)] = True
    found = [
        _met(corpus),
        _marked(corpus, marked.again, lambda document: _repeated_id(corpus.job)),
        _marked(corpus, marked.odd & ~marked.again, lambda document: _misshapen(corpus, document)),
        _marked(corpus, unseen, lambda document: _unseen(*marked.unseen[document])),
    ]
    return heapq.merge(*found, key=lambda each: each.place)


def _met(corpus: StagedCorpus) -> Iterator[Found]:
    for group, bases in zip(corpus.groups, corpus.bases, strict=True):
        with (corpus.folder(group) / BAD).open("rb") as lines:
            for line in lines:
                values = json.loads(line)
                piece = values.pop("piece")
                if values["line"] is not None:
                    values["line"] += bases[piece]
                yield Found((group.number, piece, values["offset"]), group.pieces[piece], BadRecord(**values))


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Documents whose id an earlier one has: bool [documents].

    Two ids count as one when the first 64 bits of their SHA-256 agree; among 10 million ids that happens by chance once
    in 400,000 corpora.
    """
    order = np.argsort(hashes, kind="stable")
    again = np.zeros(len(hashes), bool)
    again[order[1:]] = hashes[order][1:] == hashes[order][:-1]
    return again


def misshapen(shapes: np.ndarray) -> np.ndarray:
    """Documents whose array differs from the first one's in more than its first dimension: bool [documents].

    Args:
        shapes: As `StagedCorpus.shapes`.
    """
    return np.any(shapes[:, 1:] != shapes[:1, 1:], axis=1)


class _Reason(NamedTuple):
    """As in `BadRecord`."""

    rule: str
    reason: str
    fix: str


def _repeated_id(job: Job) -> _Reason:
    numbered = "" if job.layout == "dataset" else ", or leave out example_gen.fields.id to have records numbered"
    return _Reason("an id must belong to one record", "the id of an earlier record", f"Make the ids differ{numbered}")


def _misshapen(corpus: StagedCorpus, document: int) -> _Reason:
    shapes = [] if corpus.shapes is None else corpus.shapes[[0, document]].tolist()
    first, own = ([size for size in shape if size != NO_AXIS] for shape in shapes)
    rule = f"arrays must have one shape but for the first dimension, that of the first, {first}"
    return _Reason(rule, f"an array of shape {own}", "Correct the record")


def _unseen(split: str, value: str) -> _Reason:
    fix = "Correct the record, or put one of this class into train"
    return _Reason(f"every class of {split} must occur in train", value, fix)


def _marked(corpus: StagedCorpus, marked: np.ndarray, reason: Callable[[int], _Reason]) -> Iterator[Found]:
    first = 0
    for group, size in zip(corpus.groups, corpus.sizes.tolist(), strict=True):
        origins = np.load(corpus.folder(group) / ORIGINS, mmap_mode="r")
        for document in np.flatnonzero(marked[first : first + size]).tolist():
            piece, number, offset = origins[document].tolist()
            # Where a record can have several lines, its number is none of them.
            line = number + corpus.bases[group.number][piece] if corpus.job.layout == "jsonl" else None
            record = BadRecord(offset, line, *reason(first + document))
            yield Found((group.number, piece, offset), group.pieces[piece], record)
        first += size


def error_for(found: Found, count: int, job: Job) -> ValueError:
    """Names the first bad record.

    Args:
        found: Which one.
        count: How many there are in all.
        job: How the corpus was read.
    """
    _, piece, record = found
    line = "" if record.line is None else f"line {record.line}, "
    place = f"{piece.path}, {line}{'example' if job.layout == 'tfds' else 'byte offset'} {record.offset}"
    others = f" (the first of {count:,} bad records)" if count > 1 else ""
    return ValueError(
        f"ExampleGen: {record.rule}. Received: {place}: {record.reason}{others}. "
        f"{record.fix}, or leave bad records out with `example_gen.on_bad_record: skip`."
    )


def write_list(path: Path, found: Iterable[Found]) -> int:
    """Writes one JSON object a bad record: `file`, `offset`, `line` where it has one, `reason`; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for _, piece, record in found:
            line = {} if record.line is None else {"line": record.line}
            entry = {"file": piece.id, "offset": record.offset, **line, "reason": f"{record.rule}: {record.reason}"}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            count += 1
    return count
