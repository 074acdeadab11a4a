"""What a pass over the documents' features finds: symbols of texts, classes, moments of arrays, faulty documents."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from components.beam_run import Meter
from components.document_arrays import ARRAYS
from components.documents import Documents, Feature
from components.transform.moments import Moments, joined
from components.transform.raw_examples import CLASSES, FaultyDocument, RawExamples, array_type
from components.transform.shards import ShardSpec
from components.transform.vocabulary import Counting

_BYTES_AT_ONCE = 1 << 20
_CHARACTERS_AT_ONCE = 256 << 10
_CLASSES_SHOWN = 30


@dataclasses.dataclass
class FeatureCounts:
    """What is known of the features after the first pass.

    Attributes:
        symbols: Split and text feature → how often each symbol occurs.
        classes: Split and feature → class → the first document that has it: its number and its id.
        moments: Shard → those of its numbers, of the train split.
        faults: Split, shard and message of the first faulty document of each shard that has one.
    """

    symbols: dict[tuple[str, str], Counter[Any]] = dataclasses.field(default_factory=dict)
    classes: dict[tuple[str, str], dict[str, tuple[int, str]]] = dataclasses.field(default_factory=dict)
    moments: dict[int, Moments] = dataclasses.field(default_factory=dict)
    faults: list[tuple[str, int, str]] = dataclasses.field(default_factory=list)

    def add(self, more: FeatureCounts) -> None:
        """Adds what was found elsewhere; the order makes no difference."""
        for key, symbols in more.symbols.items():
            self.symbols.setdefault(key, Counter()).update(symbols)
        for key, classes in more.classes.items():
            known = self.classes.setdefault(key, {})
            for name, place in classes.items():
                known[name] = min(place, known.get(name, place))
        self.moments |= more.moments
        self.faults += more.faults

    def names(self, feature: str) -> list[str]:
        """Classes of a feature in the train split; the place in the list is the id."""
        return sorted(self.classes["train", feature])

    def scaling(self, columns: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the train split's numbers, float64 [columns]."""
        moments = joined((self.moments[shard] for shard in sorted(self.moments)), columns)
        return moments.mean, moments.std

    def check(self) -> None:
        """Checks that every document can be transformed.

        Raises:
            ValueError: One is faulty, or has a class that the train split has not.
        """
        if self.faults:
            raise FaultyDocument(min(self.faults)[-1])
        for (split, feature), classes in sorted(self.classes.items()):
            known = self.names(feature)
            unknown = [(classes[name], name) for name in classes.keys() - set(known)]
            if unknown:
                (_, document), name = min(unknown)
                more = f" … ({len(known)} in all)" if len(known) > _CLASSES_SHOWN else ""
                raise FaultyDocument(
                    f"Transform: every class of {split} must occur in train. Received: {feature}={name!r} in the "
                    f"document {document!r} of {split}; known: {', '.join(map(repr, known[:_CLASSES_SHOWN]))}{more}. "
                    "Correct the document, take it out, or put one of this class into train."
                )


@dataclasses.dataclass(frozen=True)
class FeatureJob:
    """What the first pass does with every shard.

    Attributes:
        corpus: The documents.
        countings: Text feature → what is counted of it.
        meter: Is told what is done.
    """

    corpus: RawExamples
    countings: Mapping[str, Counting]
    meter: Meter


def count_shard(spec: ShardSpec, job: FeatureJob) -> FeatureCounts:
    """Counts the features of one shard's documents, up to the first faulty one."""
    counts, documents = FeatureCounts(), job.corpus.splits[spec.split]
    counters = {name: SymbolCounter(counting) for name, counting in job.countings.items()}
    classes: dict[str, dict[str, tuple[int, str]]] = {name: {} for name in CLASSES if name in job.corpus.features}
    try:
        for raw in job.corpus.read(spec):
            for name, counter in counters.items():
                counter.add(raw[name])
            for feature, seen in classes.items():
                for name in raw[feature] if feature == "tags" else [raw[feature]]:
                    seen.setdefault(name, (raw["document"], raw["id"]))
        if "array" in job.corpus.features:
            moments = _moments(spec, documents, job)
            if spec.split == "train":
                counts.moments[spec.shard] = moments
    except FaultyDocument as fault:
        counts.faults.append((spec.split, spec.shard, str(fault)))
    counts.symbols = {(spec.split, name): counter.finished() for name, counter in counters.items()}
    counts.classes = {(spec.split, name): seen for name, seen in classes.items()}
    job.meter.add(documents=spec.stop - spec.first, bytes=job.corpus.bytes(spec))
    return counts


def _moments(spec: ShardSpec, documents: Documents, job: FeatureJob) -> Moments:
    feature = job.corpus.features["array"]
    moments = Moments.none(columns(feature))
    for rows in array_pieces(documents, spec, feature):
        if not np.isfinite(rows).all():
            raise _not_finite(spec, documents, job)
        moments = moments.with_more(Moments.of(rows))
    return moments


def _not_finite(spec: ShardSpec, documents: Documents, job: FeatureJob) -> FaultyDocument:
    arrays = (
        (raw["id"], documents.array(raw["document"], job.corpus.features["array"])) for raw in job.corpus.read(spec)
    )
    document, array = next((name, array) for name, array in arrays if not np.isfinite(array).all())
    return FaultyDocument(
        f"Transform: an array must hold finite numbers. Received: {array[~np.isfinite(array)][0]} in the document "
        f"{document!r}. Correct the document, or take it out."
    )


def columns(feature: Feature) -> int:
    """How many means and standard deviations arrays have: one a feature of a series, else one for all numbers."""
    _, shape = array_type(feature)
    return shape[1] if len(shape) == 2 else 1


def array_pieces(documents: Documents, spec: ShardSpec, feature: Feature) -> Iterator[np.ndarray]:
    """Yields the numbers of a shard's arrays, [rows, columns] each, a piece at a time; where an array ends is lost."""
    dtype, width = array_type(feature)[0], columns(feature)
    start, stop = documents.array_starts[[spec.first, spec.stop]].tolist()
    left = (stop - start) // dtype.itemsize
    at_once = max(_BYTES_AT_ONCE // (dtype.itemsize * width), 1) * width
    with (documents.folder / ARRAYS).open("rb") as file:
        file.seek(start)
        while left:
            piece = np.fromfile(file, dtype, min(left, at_once))
            left -= len(piece)
            yield piece.reshape(-1, width)


class SymbolCounter:
    """Counts the symbols of many texts, of short ones together where their borders make no difference."""

    def __init__(self, counting: Counting) -> None:
        self._counting = counting
        self._counts: Counter[Any] = Counter()
        self._waiting: list[str] = []
        self._characters = 0

    def add(self, text: str) -> None:
        """Counts a text, now or later."""
        self._waiting.append(text)
        self._characters += len(text)
        if not self._counting.anywhere or self._characters >= _CHARACTERS_AT_ONCE:
            self._count()

    def finished(self) -> Counter[Any]:
        """The counts of all texts."""
        self._count()
        return self._counts

    def _count(self) -> None:
        self._counts.update(self._counting.count("".join(self._waiting)))
        self._waiting, self._characters = [], 0
