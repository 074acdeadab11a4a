"""Counted strings on disk, in partitions, so that no process ever holds all the words of a corpus.

A block writes its own file; partition p of all files together is then merged on its own. Which partition a string
belongs to depends on the string alone.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

PARTITIONS = 16
_HEADER_BYTES = PARTITIONS * 2 * 8


class Tally(NamedTuple):
    """How often the strings of one split occur.

    Attributes:
        distinct: Number of different strings.
        total: Number of strings.
        unknown: How many of `total` never occur in the train split.
        top: The most frequent (string, count), those of equal count in order of their code points.
    """

    distinct: int = 0
    total: int = 0
    unknown: int = 0
    top: Sequence[tuple[str, int]] = ()


def write_tally(path: Path, counts: Mapping[str, int]) -> None:
    """Writes counted strings; none of them may hold a line feed."""
    keys, numbers = list(counts), np.fromiter(counts.values(), "<i8", len(counts))
    partitions = _partitions(keys)
    order = np.argsort(partitions, kind="stable")
    borders = np.searchsorted(partitions[order], np.arange(PARTITIONS + 1)).tolist()
    keys, numbers = [keys[i] for i in order.tolist()], numbers[order]
    spans = [slice(*span) for span in itertools.pairwise(borders)]
    texts = ["\n".join(keys[span]).encode("utf-8") for span in spans]
    header = np.asarray([(len(text), len(keys[span])) for text, span in zip(texts, spans, strict=True)], "<i8")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(header.tobytes())
        for text, span in zip(texts, spans, strict=True):
            file.write(text)
            file.write(numbers[span].tobytes())


def _partitions(keys: Sequence[str]) -> np.ndarray:
    """Partition of each string: the sum of its bytes decides, for all of them at once."""
    if not keys:
        return np.zeros(0, np.int64)
    raw = np.frombuffer(("\n".join(keys) + "\n").encode("utf-8"), np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))
    return np.add.reduceat(raw, np.append(0, ends[:-1] + 1), dtype=np.int64) % PARTITIONS


def read_partition(path: Path, partition: int) -> dict[str, int]:
    """Reads one partition of what `write_tally` wrote."""
    with path.open("rb") as file:
        header = np.frombuffer(file.read(_HEADER_BYTES), "<i8").reshape(PARTITIONS, 2)
        file.seek(_HEADER_BYTES + int((header[:partition] * (1, 8)).sum()))
        size, number = header[partition].tolist()
        if not number:
            return {}
        keys = file.read(size).decode("utf-8").split("\n")
        return dict(zip(keys, np.frombuffer(file.read(8 * number), "<i8").tolist(), strict=True))


def merge_partition(files: Mapping[str, Sequence[Path]], partition: int, keep: int) -> dict[str, Tally]:
    """Adds up one partition of the files of each split.

    Args:
        files: Split → its files.
        partition: Which one, 0 … PARTITIONS - 1.
        keep: How many of the most frequent strings to return.

    Returns:
        Split → its tally; without a train split every string is unknown.
    """
    known = _add(files.get("train", ()), partition)
    tallies = {}
    for split, paths in files.items():
        counts = known if split == "train" else _add(paths, partition)
        unknown = sum(number for key, number in counts.items() if key not in known)
        tallies[split] = Tally(len(counts), counts.total(), unknown, most_frequent(counts.items(), keep))
    return tallies


def _add(paths: Sequence[Path], partition: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in paths:
        counts.update(read_partition(path, partition))
    return counts


def most_frequent(items: Iterable[tuple[str, int]], keep: int) -> list[tuple[str, int]]:
    """The `keep` items of the highest count; of equal ones, those that come first in order of code points."""
    return heapq.nsmallest(keep, items, key=lambda item: (-item[1], item[0]))


def join(tallies: Sequence[Tally], keep: int) -> Tally:
    """Puts the partitions of one split together: their strings differ, so all but `top` adds up."""
    items = [item for tally in tallies for item in tally.top]
    return Tally(
        sum(tally.distinct for tally in tallies),
        sum(tally.total for tally in tallies),
        sum(tally.unknown for tally in tallies),
        most_frequent(items, keep),
    )
