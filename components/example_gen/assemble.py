"""The staged groups of a corpus put together: their documents into the folders of the splits."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from components.documents import FIELDS, Documents, DocumentWriter, Feature
from components.example_gen.blocks import BLOCK_BYTES
from components.example_gen.features import LONGEST_SHAPE, NO_AXIS
from components.example_gen.groups import Group, Job
from components.example_gen.split_names import split_code_in
from components.example_gen.splits import Part, numbered_hashes
from components.example_gen.staging import CODES, HASHES, ORIGINS, SHAPES, TOTALS, group_folder

_WINDOW = 1 << 16  # documents at a time


class StagedCorpus:
    """All groups together, in the order of the corpus. In memory: a few bytes a document.

    Args:
        groups: What was staged, all of it.
        job: How.
    """

    def __init__(self, groups: Sequence[Group], job: Job) -> None:
        self.groups, self.job = groups, job

    def folder(self, group: Group) -> Path:
        """Where a group is."""
        return group_folder(self.job, group.number)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Documents in each group: int64 [groups]."""
        return np.array([len(Documents(self.folder(group))) for group in self.groups], np.int64)

    @cached_property
    def characters(self) -> np.ndarray:
        """Length of each document: int64 [documents]."""
        return self._joined((np.diff(Documents(self.folder(group)).offsets[:, 1]) for group in self.groups), np.int64)

    @property
    def hashes(self) -> np.ndarray:
        """`id_hash` of each document, or what stands for it: uint64 [documents]."""
        if not self.job.numbered:
            return self._joined((np.load(self.folder(group) / HASHES) for group in self.groups), np.uint64)
        return self._joined(self._numbered_hashes(), np.uint64)

    def _numbered_hashes(self) -> Iterator[np.ndarray]:
        for group, bases in zip(self.groups, self.bases, strict=True):
            origins = np.load(self.folder(group) / ORIGINS, mmap_mode="r")
            starts = np.searchsorted(origins[:, 0], np.arange(len(group.pieces) + 1))
            for piece, base, start, stop in zip(group.pieces, bases, starts[:-1], starts[1:], strict=True):
                yield numbered_hashes(piece.id, origins[start:stop, 1] + base)

    @property
    def codes(self) -> np.ndarray:
        """Position in `SPLITS` of the split that each document's record, file or tfds split names, or -1: int8."""
        if self.job.records_name_splits:
            return self._joined((np.load(self.folder(group) / CODES) for group in self.groups), np.int8)
        return self._joined(self._codes_of_pieces(), np.int8)

    @cached_property
    def shapes(self) -> np.ndarray | None:
        """Shape of each document's array, filled up with NO_AXIS: int64 [documents, 4]; None if it was known before."""
        array = self.job.array
        if array is None or array.shape is not None:
            return None
        groups = [np.load(self.folder(group) / SHAPES) for group in self.groups]
        return np.concatenate([np.empty((0, LONGEST_SHAPE), np.int64), *groups])

    def features(self, kept: np.ndarray) -> dict[str, Feature]:
        """Feature → what it is.

        Args:
            kept: Documents whose arrays have one shape but for the first dimension: bool [documents].
        """
        features = dict(self.job.features)
        if self.shapes is not None:
            shapes = self.shapes[kept]
            rest = tuple(size for size in shapes[0, 1:].tolist() if size != NO_AXIS)
            first = None if np.ptp(shapes[:, 0]) else int(shapes[0, 0])
            features["array"] = replace(features["array"], shape=(first, *rest))
        return features

    def _codes_of_pieces(self) -> Iterator[np.ndarray]:
        for group in self.groups:
            of_pieces = [split_code_in(piece.id) for piece in group.pieces]
            codes = np.array([-1 if code is None else code for code in of_pieces], np.int8)
            yield codes[np.load(self.folder(group) / ORIGINS, mmap_mode="r")[:, 0]]

    def _joined(self, arrays: Iterable[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
        """One array of a number for each document, filled array by array."""
        joined = np.empty(int(self.sizes.sum()), dtype)
        filled = 0
        for array in arrays:
            joined[filled : filled + len(array)] = array
            filled += len(array)
        return joined

    @cached_property
    def bases(self) -> list[list[int]]:
        """For each piece of each group, how many records of its file come before it."""
        bases, file, records = [], "", 0
        for group in self.groups:
            here = []
            for piece, total in zip(group.pieces, np.load(self.folder(group) / TOTALS).tolist(), strict=True):
                records = records if piece.id == file else 0
                here.append(records)
                file, records = piece.id, records + total
            bases.append(here)
        return bases


def write_splits(corpus: StagedCorpus, plan: Mapping[str, Part], examples: Path) -> None:
    """Writes the splits: see `pipeline.artifacts.Examples`. Documents keep the order of the corpus.

    Args:
        corpus: What was staged.
        plan: Split name → what it takes.
        examples: The folder of the artifact.
    """
    with ExitStack() as stack:
        writers = {}
        for name in plan:
            (examples / f"Split-{name}").mkdir()
            writer = DocumentWriter(examples / f"Split-{name}", arrays=corpus.job.array is not None)
            writers[name] = stack.enter_context(writer)
        cuts = {name: _Cut(part) for name, part in plan.items() if part.stop is not None}
        first = 0  # document of the corpus
        for group, bases, size in zip(corpus.groups, corpus.bases, corpus.sizes.tolist(), strict=True):
            documents = Documents(corpus.folder(group))
            with ExitStack() as files:
                text = files.enter_context(documents.text.open("rb", BLOCK_BYTES))
                fields = files.enter_context((documents.folder / FIELDS).open("rb"))
                arrays = files.enter_context(documents.arrays.open("rb", BLOCK_BYTES)) if corpus.job.array else None
                origins = np.load(documents.folder / ORIGINS, mmap_mode="r")
                for start in range(0, size, _WINDOW):
                    stop = min(start + _WINDOW, size)
                    offsets = np.array(documents.offsets[start : stop + 1])
                    digests = np.array(documents.digests[start:stop])
                    starts = np.array(documents.array_starts[start : stop + 1] if arrays else ())
                    lines = list(islice(fields, stop - start))
                    if corpus.job.numbered:
                        lines = _with_ids(lines, origins[start:stop], group, bases)
                    for name, part in plan.items():
                        here = np.flatnonzero(part.chosen[first + start : first + stop])
                        if name in cuts:
                            for document in here.tolist():
                                cuts[name].write(writers[name], text, offsets[document : document + 2], lines[document])
                        elif len(here):
                            writers[name].write_many(
                                _ranges(text, offsets[here, 0], offsets[here + 1, 0]),
                                offsets[here + 1] - offsets[here],
                                digests[here],
                                b"".join([lines[document] for document in here.tolist()]),
                                () if arrays is None else _ranges(arrays, starts[here], starts[here + 1]),
                                () if arrays is None else starts[here + 1] - starts[here],
                            )
            first += size


class _Cut:
    """Writes the characters that a split takes of documents which it does not take whole."""

    def __init__(self, part: Part) -> None:
        self._start, self._stop = part.start, part.stop or 0
        self._before = 0  # characters of the documents before

    def write(self, writer: DocumentWriter, text: BinaryIO, offsets: np.ndarray, line: bytes) -> None:
        """Writes its part of the next document.

        Args:
            writer: Of the split.
            text: The staged text.
            offsets: First byte and character of the document, and of the one after it: int64 [2, 2].
            line: Its fields.
        """
        decoder = codecs.getincrementaldecoder("utf-8")()
        position = self._before
        for raw in _ranges(text, offsets[:1, 0], offsets[1:, 0]):
            characters = decoder.decode(raw)
            wanted = characters[max(self._start - position, 0) : max(self._stop - position, 0)]
            writer.append(wanted.encode("utf-8"), len(wanted))
            position += len(characters)
        writer.end(line)
        self._before = position


def _ranges(file: BinaryIO, starts: np.ndarray, stops: np.ndarray) -> Iterator[bytes]:
    """Yields byte ranges of a file, those that touch as one, in blocks."""
    apart = starts[1:] != stops[:-1]
    firsts, lasts = starts[np.append(True, apart)].tolist(), stops[np.append(apart, True)].tolist()
    for start, stop in zip(firsts, lasts, strict=True):
        file.seek(start)
        for position in range(start, stop, BLOCK_BYTES):
            yield file.read(min(BLOCK_BYTES, stop - position))


def _with_ids(lines: list[bytes], origins: np.ndarray, group: Group, bases: list[int]) -> list[bytes]:
    """Puts the ids of numbered documents, `FILE:NUMBER`, before their other fields."""
    heads = [f'{{"id": {json.dumps(piece.id, ensure_ascii=False)[:-1]}:'.encode() for piece in group.pieces]
    pieces, numbers = origins[:, 0], origins[:, 1] + np.array(bases)[origins[:, 0]]
    return [
        b'%b%d"%b%b' % (heads[piece], number, b"" if line == b"{}\n" else b", ", line[1:])
        for line, piece, number in zip(lines, pieces.tolist(), numbers.tolist(), strict=True)
    ]
