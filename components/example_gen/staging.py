"""Reads a group of pieces into a folder of its own: documents in order, where they come from, and what was bad."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from components.array_file import ArrayFile
from components.documents import DocumentWriter, digests_of, to_bytes, to_line
from components.example_gen.blocks import BLOCK_BYTES, read_blocks, read_lines
from components.example_gen.delimited import delimited
from components.example_gen.features import LONGEST_SHAPE, NO_AXIS
from components.example_gen.groups import Group, Job, Piece
from components.example_gen.json_lines import json_lines
from components.example_gen.parsed import BadRecord, Batch, Document, End, Event, Part, Total
from components.example_gen.splits import id_hash
from components.example_gen.text import markdown_file, separated, whole_file

# Beside what DocumentWriter writes, a staged group has:
ORIGINS = "origins.npy"  # int64 [documents, 3]: piece of the group, number in the piece, byte in the file
HASHES = "hashes.npy"  # uint64 [documents]: id_hash, if documents are not numbered
CODES = "codes.npy"  # int8 [documents]: position in SPLITS of the split a record names, -1 if none
SHAPES = "shapes.npy"  # int64 [documents, 4]: shape of each array, filled up with NO_AXIS; if it is not known before
TOTALS = "totals.npy"  # int64 [pieces]: records of each piece, bad ones included
BAD = "bad.jsonl"  # piece of the group, and the fields of a BadRecord

_NO_FIELDS = to_line({})

Count = Callable[..., None]


def group_folder(job: Job, number: int) -> Path:
    """Where a group is staged."""
    return Path(job.folder) / f"group-{number:05}"


def stage_group(group: Group, job: Job, count: Count) -> None:
    """Reads a group; reading it again gives the same files.

    Args:
        group: What to read.
        job: How.
        count: Is told documents, characters and bytes as they are done.
    """
    folder = group_folder(job, group.number)
    shutil.rmtree(folder, ignore_errors=True)  # Beam may have tried before
    folder.mkdir(parents=True)
    with _StagedGroup(folder, job, count) as staged:
        for piece in group.pieces:
            staged.begin(piece)
            for event in _parse(piece, job):
                staged.add(event)


def _parse(piece: Piece, job: Job) -> Iterator[Event]:
    start = 0
    if job.layout == "dataset":
        from components.example_gen.datasets.registry import find

        return find(job.dataset).read(piece)
    if job.layout == "inline":
        blocks = iter([piece.path.encode("utf-8")])
    elif piece.stop is None:
        blocks = read_blocks(piece.path)
    elif job.layout == "tfds":
        from components.example_gen.tfds import read_examples

        return read_examples(job.dataset, job.data_dir, piece.id, piece.start, piece.stop, job.fields)
    else:
        start, blocks = read_lines(piece.path, piece.start, piece.stop)
    match job.layout:
        case "file" | "inline":
            return whole_file(blocks)
        case "markdown":
            return markdown_file(blocks, piece.id)
        case "line":
            return separated(blocks, None, start)
        case "separator":
            return separated(blocks, job.separator)
        case "jsonl":
            return json_lines(blocks, job.fields, start)
        case _:
            return delimited(blocks, job.fields, tabs=job.layout == "tsv")


class _StagedGroup:
    """Writes what the parsers find."""

    def __init__(self, folder: Path, job: Job, count: Count) -> None:
        self._job, self._count = job, count
        array = job.array
        self._documents = DocumentWriter(folder, arrays=array is not None)
        self._shapes = None if array is None or array.shape else ArrayFile(folder / SHAPES, np.int64, LONGEST_SHAPE)
        self._origins = ArrayFile(folder / ORIGINS, np.int64, columns=3)
        self._hashes = None if job.numbered else ArrayFile(folder / HASHES, np.uint64)
        self._codes = ArrayFile(folder / CODES, np.int8) if job.records_name_splits else None
        self._totals = ArrayFile(folder / TOTALS, np.int64)
        self._bad = (folder / BAD).open("wb")
        self._piece, self._name, self._total = -1, "", 0
        self._waiting: list[Document] = []
        self._waiting_bytes = 0
        self._done = np.zeros(3, np.int64)
        self._has_content = "text" in job.features or "array" in job.features

    def __enter__(self) -> Self:
        self._documents.__enter__()
        return self

    def begin(self, piece: Piece) -> None:
        """Goes on to the next piece."""
        self._finish_piece()
        self._piece += 1
        self._name, self._total = piece.id, 0

    def add(self, event: Event) -> None:
        """Writes what was found; single documents wait until they are worth it."""
        if isinstance(event, Document):
            self._waiting.append(event)
            self._waiting_bytes += len(event.raw) + len(event.line) + (0 if event.array is None else event.array.nbytes)
            if self._waiting_bytes > BLOCK_BYTES:
                self._write_waiting()
            return
        self._write_waiting()
        match event:
            case Batch(raw, lengths, first, offsets):
                digests = digests_of(raw, np.cumsum(lengths[:, 0]).tolist())
                self._documents.write_many([raw], lengths, digests, _NO_FIELDS * len(lengths))
                self._tell(len(lengths), *lengths.sum(axis=0)[::-1].tolist())
                self._write_origins(first + np.arange(len(lengths)), offsets)
            case Part(raw, characters):
                self._documents.append(raw, characters)
                self._tell(0, characters, len(raw))
            case End(number, offset):
                self._documents.end(_NO_FIELDS if self._hashes is None else to_line({"id": self._name}))
                self._write_origins([number], [offset])
                if self._hashes is not None:
                    self._hashes.extend([id_hash(self._name)])
                self._tell(1, 0, 0)
            case BadRecord():
                self._documents.take_back()
                record = {"piece": self._piece, **dataclasses.asdict(event)}
                self._bad.write(json.dumps(record).encode() + b"\n")
            case Total(records):
                self._total = records

    def _write_waiting(self) -> None:
        found, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not found:
            return
        self._write(found)
        self._write_origins([document.number for document in found], [document.offset for document in found])
        if self._hashes is not None:
            self._hashes.extend(np.array([id_hash(document.id or "") for document in found], np.uint64))
        if self._codes is not None:
            self._codes.extend([-1 if document.split is None else document.split for document in found])

    def _write(self, found: list[Document]) -> None:
        lengths = np.array([(len(document.raw), document.characters) for document in found], np.int64)
        # What documents are compared by: text and array, or, where they have neither, their fields but the id.
        content = [document.raw if self._has_content else _without_id(document.line) for document in found]
        arrays = [to_bytes(document.array) for document in found if document.array is not None]
        sizes = [len(array) for array in arrays]
        digests = digests_of(b"".join(content), np.cumsum([len(raw) for raw in content]).tolist(), arrays)
        lines = b"".join(document.line for document in found)
        self._documents.write_many([document.raw for document in found], lengths, digests, lines, arrays, sizes)
        if self._shapes is not None:
            shapes = [document.array.shape for document in found if document.array is not None]
            self._shapes.extend([(*shape, *[NO_AXIS] * (LONGEST_SHAPE - len(shape))) for shape in shapes])
        size, characters = lengths.sum(axis=0).tolist()
        self._tell(len(found), characters, size + sum(sizes))

    def _write_origins(self, numbers: Any, offsets: Any) -> None:
        self._origins.extend(np.column_stack([np.full(len(numbers), self._piece), numbers, offsets]))

    def _tell(self, *done: int) -> None:
        self._done += done
        if self._done[2] > BLOCK_BYTES:
            self._tell_all()

    def _tell_all(self) -> None:
        documents, characters, size = self._done.tolist()
        self._count(documents=documents, characters=characters, bytes=size)
        self._done[:] = 0

    def _finish_piece(self) -> None:
        self._write_waiting()
        if self._piece >= 0:
            self._totals.extend([self._total])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish_piece()
            self._tell_all()
        self._documents.__exit__(kind, error, traceback)
        for file in (self._origins, self._hashes, self._codes, self._shapes, self._totals, self._bad):
            if file is not None:
                file.close()


def _without_id(line: bytes) -> bytes:
    return to_line({name: value for name, value in json.loads(line).items() if name != "id"})
