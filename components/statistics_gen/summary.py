"""The counts of all blocks of a split, put together: what the statistics are made of."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from components.documents import Documents
from components.statistics_gen.beam import WORDS, block_file, field_feature, partition_file
from components.statistics_gen.blocks import Block
from components.statistics_gen.counting import Moments
from components.statistics_gen.tally import PARTITIONS, Tally, join


@dataclass
class FieldSummary:
    """One field of the documents of a split.

    Attributes:
        types: Type → number of values, see `counting.FieldCounts`.
        characters: Characters of its texts.
        numbers: Moments of its numbers.
        values: Its values as JSON, fractions, lists and objects not among them.
    """

    types: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    numbers: Moments = field(default_factory=Moments)
    values: Tally = field(default_factory=Tally)


@dataclass
class SplitSummary:
    """All that is known of a split.

    Attributes:
        lengths: Characters of each document, int64 [documents].
        bytes: Bytes of its text.
        characters: Code point → how often.
        words: Words.
        documents: Kind of suspect character, or `not_nfc`, `not_nfkc` → number of documents concerned.
        fields: Name → what the documents say under it.
        distinct_documents: Different documents; where they have text, the empty one is not counted.
        leaked_documents: Documents that the train split holds, too; where they have text, empty ones are not counted.
        same_as_train: Whether the documents are those of the train split, all of them.
        has_text: Whether documents have text.
    """

    lengths: np.ndarray
    bytes: int
    characters: Counter[int]
    words: Tally
    documents: Counter[str]
    fields: dict[str, FieldSummary]
    distinct_documents: int
    leaked_documents: int
    same_as_train: bool
    has_text: bool


def summarize(
    splits: Mapping[str, Documents],
    blocks: Sequence[Block],
    work: Path,
    keep: int,
    features: Collection[str] = ("text",),
) -> dict[str, SplitSummary]:
    """Reads what `beam.CountBlocks` wrote, in order of the blocks.

    Args:
        splits: Split → its documents.
        blocks: All blocks.
        work: Where the results are.
        keep: How many of the most frequent words and values to keep.
        features: What the documents have, see `components.features`.
    """
    has_text = "text" in features
    words = _tallies(work, WORDS, keep)
    summaries = {}
    for split, documents in splits.items():
        # In one order, whatever order they come in: sums of fractions depend on it.
        own = sorted(block for block in blocks if block.split == split)
        distinct, leaked, same = _repeated(documents, splits.get("train", documents), has_text)
        characters, concerned = _add_text([block for block in own if block.kind != "fields"], work)
        summaries[split] = SplitSummary(
            lengths=np.diff(documents.offsets[:, 1]),
            bytes=documents.bytes,
            characters=characters,
            words=words.get(split, Tally()),
            documents=concerned,
            fields=_add_fields([block for block in own if block.kind == "fields"], work),
            distinct_documents=distinct,
            leaked_documents=leaked,
            same_as_train=same,
            has_text=has_text,
        )
    for name in sorted({name for summary in summaries.values() for name in summary.fields}):
        for split, tally in _tallies(work, field_feature(name), keep).items():
            summaries[split].fields[name].values = tally
    return summaries


def _add_text(blocks: Sequence[Block], work: Path) -> tuple[Counter[int], Counter[str]]:
    characters: Counter[int] = Counter()
    concerned: Counter[str] = Counter()
    in_parts: set[tuple[str, int]] = set()
    for block in blocks:
        result = _read(block_file(work, block.number))
        characters.update(dict(result["characters"]))
        found = result["documents"]
        if block.kind == "part":  # the same document may be concerned in several of its parts
            in_parts.update((name, block.first) for name in found)
        else:
            concerned.update(found)
    concerned.update(name for name, _ in in_parts)
    return characters, concerned


def _add_fields(blocks: Sequence[Block], work: Path) -> dict[str, FieldSummary]:
    fields: dict[str, FieldSummary] = {}
    for block in blocks:
        for name, counts in _read(block_file(work, block.number)).items():
            summary = fields.setdefault(name, FieldSummary())
            summary.types.update(counts["types"])
            summary.characters += counts["characters"]
            summary.numbers += Moments(**counts["numbers"])
    return dict(sorted(fields.items()))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text("utf-8"))


def _tallies(work: Path, feature: str, keep: int) -> dict[str, Tally]:
    """Split → its tally of one feature, from all partitions."""
    parts: dict[str, list[Tally]] = {}
    for partition in range(PARTITIONS):
        path = partition_file(work, feature, partition)
        if path.exists():  # no block has text, or the field
            for split, (distinct, total, unknown, top) in _read(path).items():
                items = [(key, count) for key, count in top]
                parts.setdefault(split, []).append(Tally(distinct, total, unknown, items))
    return {split: join(tallies, keep) for split, tallies in parts.items()}


def _repeated(documents: Documents, train: Documents, has_text: bool) -> tuple[int, int, bool]:
    """Number of different documents, of those that train holds, and whether they are train's."""
    own, trained = (np.asarray(d.digests)[(np.diff(d.offsets[:, 0]) > 0) | (not has_text)] for d in (documents, train))
    distinct = len(np.unique(own))
    if documents.folder == train.folder:
        return distinct, 0, False
    same = len(documents) == len(train) and bool(np.array_equal(np.sort(own), np.sort(trained)))
    return distinct, int(np.isin(own, trained).sum()), same
