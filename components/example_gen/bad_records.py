"""What happens to records that cannot be read: the first one stops the run, or all are listed and left out."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.example_gen.assemble import StagedCorpus
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


def bad_records(corpus: StagedCorpus, again: np.ndarray) -> Iterator[Found]:
    """Yields the bad records in the order of the corpus: what parsers met, and ids that came before.

    Args:
        corpus: What was staged.
        again: What `repeated` found.
    """
    return heapq.merge(_met(corpus), _repeated_ids(corpus, again), key=lambda found: found.place)


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


def _repeated_ids(corpus: StagedCorpus, again: np.ndarray) -> Iterator[Found]:
    first = 0
    for group, size in zip(corpus.groups, corpus.sizes.tolist(), strict=True):
        origins = np.load(corpus.folder(group) / ORIGINS, mmap_mode="r")
        for document in np.flatnonzero(again[first : first + size]).tolist():
            piece, number, offset = origins[document].tolist()
            # Where a record can have several lines, its number is none of them.
            line = number + corpus.bases[group.number][piece] if corpus.job.layout == "jsonl" else None
            yield Found(
                (group.number, piece, offset),
                group.pieces[piece],
                BadRecord(
                    offset,
                    line,
                    "an id must belong to one record",
                    "the id of an earlier record",
                    "Make the ids differ, or leave out example_gen.fields.id to have records numbered",
                ),
            )
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


def write_list(path: Path, found: Iterable[Found]) -> None:
    """Writes one JSON object a bad record: `file`, `offset`, `line` where it has one, `reason`."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for _, piece, record in found:
            line = {} if record.line is None else {"line": record.line}
            entry = {"file": piece.id, "offset": record.offset, **line, "reason": f"{record.rule}: {record.reason}"}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
