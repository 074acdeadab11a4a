"""What the statistics must be, counted naively in Python, and a corpus to count."""

from __future__ import annotations

import statistics
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.beam_run import Meter
from components.documents import Documents, DocumentWriter
from components.statistics_gen.beam import CountJob, count_block, merge
from components.statistics_gen.blocks import cut_blocks
from components.statistics_gen.messages import messages
from components.statistics_gen.stage import StatisticsGen
from components.statistics_gen.statistics import SplitStatistics
from components.statistics_gen.summary import summarize
from pipeline.config import BeamConfig

Corpus = Mapping[str, Sequence[str]]


def write_examples(folder: Path, corpus: Corpus, fields: Mapping[str, Sequence[Mapping[str, Any]]] = {}) -> Path:
    """Writes an Examples artifact: split → texts, and for some splits what else is known of each document."""
    for split, texts in corpus.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        with DocumentWriter(folder / f"Split-{split}") as writer:
            for i, text in enumerate(texts):
                known = fields[split][i] if split in fields else {}
                writer.write(text.encode(), len(text), {"id": f"{split}-{i}", **known})
    return folder


def count_without_beam(examples: Path, work: Path, block: int, keep: int = 1000) -> dict[str, SplitStatistics]:
    """Does what the Beam pass does, block after block, the last one first."""
    splits = Documents.splits(examples)
    job = CountJob({name: str(s.folder) for name, s in splits.items()}, str(work), keep, Meter("test", f"{work}/none"))
    blocks = cut_blocks(splits, block)
    gathered: dict[str, list] = {}
    for each in reversed(blocks):
        for key, value in count_block(each, job):
            gathered.setdefault(key, []).append(value)
    for element in gathered.items():
        merge(element, job)
    return {m.name: SplitStatistics(m) for m in messages(summarize(splits, blocks, work, keep))}


def run_stage(examples: Path, folder: Path, **beam: Any) -> Path:
    folder.mkdir(parents=True)
    StatisticsGen(BeamConfig(**beam)).run({"examples": examples}, {"statistics": folder}, folder.parent)
    return folder


def naive_kind(character: str) -> str | None:
    """Written from Unicode's categories; of assigned characters only."""
    if character == "\ufffd":
        return "replacement"
    if character in "\t\r\n":
        return None
    kinds = {"Cc": "control", "Co": "private_use", "Cf": "invisible"}
    return kinds.get(unicodedata.category(character))


def naive_numbers(texts: Sequence[str], train: Sequence[str]) -> dict[str, int]:
    characters = [c for text in texts for c in text]
    words = [word for text in texts for word in text.split()]
    full = [text for text in texts if text]
    known_words = {word for text in train for word in text.split()}
    own = texts is train
    numbers = {
        "bytes": sum(len(text.encode()) for text in texts),
        "characters": len(characters),
        "tokens": sum(len(text) + 1 for text in texts),
        "words": len(words),
        "distinct_characters": len(set(characters)),
        "distinct_words": len(set(words)),
        "unknown_characters": sum(c not in "".join(train) for c in characters),
        "unknown_words": sum(word not in known_words for word in words),
        "empty_documents": sum(not text for text in texts),
        "shortest_document": min(map(len, full), default=0),
        "duplicated_documents": len(full) - len(set(full)),
        "leaked_documents": 0 if own else sum(text in train for text in full),
        "same_as_train": int(not own and sorted(texts) == sorted(train)),
        "unassigned_characters": 0,
        "unassigned_documents": 0,
    }
    for kind in ("control", "replacement", "private_use", "invisible"):
        numbers[f"{kind}_characters"] = sum(naive_kind(c) == kind for c in characters)
        numbers[f"{kind}_documents"] = sum(any(naive_kind(c) == kind for c in text) for text in texts)
    for form in ("NFC", "NFKC"):
        changed = sum(unicodedata.normalize(form, text) != text for text in texts)
        numbers[f"not_{form.lower()}_documents"] = changed
    return numbers


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def naive_words(texts: Sequence[str]) -> list[tuple[str, int]]:
    return ranked(Counter(word for text in texts for word in text.split()))


def naive_lengths(texts: Sequence[str]) -> dict[str, float]:
    lengths = [len(text) for text in texts]
    return {
        "mean": statistics.fmean(lengths),
        "std_dev": statistics.pstdev(lengths),
        "min": min(lengths),
        "median": statistics.median(lengths),
        "max": max(lengths),
    }
