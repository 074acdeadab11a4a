"""The records of text files: divided into shards by what the files hold alone, and read. Pure but for the files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from components.example_gen.blocks import read_blocks, read_lines
from components.example_gen.json_lines import json_lines
from components.example_gen.lines import BYTE_ORDER_MARK, TooLong, lines_of
from components.example_gen.parsed import BadRecord, Document, RecordError, not_utf8
from pipeline.config import FieldsConfig

# Shards are made of such pieces: enough lines to fill batches, few enough to occupy several workers.
LINES_OF_A_PIECE = 256
# A shard grows with the input, so that there are about so many at most, until a worker could not hold it.
_SHARDS = 128
_MOST_PIECES = 64


@dataclass(frozen=True)
class Layout:
    """Where in a line the record is.

    Attributes:
        field: Of a JSON object, `a.b` for b in a; None: the line itself is the record.
        key: Field that names the record; None: its file and line do.
        longest: Bytes of UTF-8 that a record may have.
    """

    field: str | None
    key: str | None
    longest: int


class Piece(NamedTuple):
    """Lines of a file.

    Attributes:
        path: The file.
        start, stop: The bytes of the file that hold them.
        before: How many lines the file has before them.
        lines: How many they are.
    """

    path: str
    start: int
    stop: int
    before: int
    lines: int


class Record(NamedTuple):
    """What the model is asked.

    Attributes:
        key: Its name in the output.
        text: What goes into the signature.
        file, line: Where it is.
    """

    key: str
    text: str
    file: str
    line: int


class Bad(NamedTuple):
    """A record that has no answer.

    Attributes:
        file, line: Where it is.
        reason: Why, for people.
    """

    file: str
    line: int
    reason: str


def divide(paths: Iterable[str]) -> list[list[Piece]]:
    """Divides the lines of files into shards, in order; at least one, which has no lines if there are none."""
    pieces = [piece for path in paths for piece in _pieces(path)]
    total = sum(piece.lines for piece in pieces)
    size = LINES_OF_A_PIECE * min(max(-(-total // (LINES_OF_A_PIECE * _SHARDS)), 1), _MOST_PIECES)
    shards: list[list[Piece]] = [[]]
    for piece in pieces:
        if shards[-1] and sum(each.lines for each in shards[-1]) + piece.lines > size:
            shards.append([])
        shards[-1].append(piece)
    return shards


def _pieces(path: str) -> Iterator[Piece]:
    start, stop, before, lines = 0, 0, 0, 0
    for offset, line in lines_of(read_blocks(path)):
        if lines == LINES_OF_A_PIECE:
            yield Piece(path, start, offset, before, lines)
            start, before, lines = offset, before + lines, 0
        lines += 1
        # Where the last line ends matters to nobody if it is too long: reading goes on to its end.
        stop = offset + (1 if isinstance(line, TooLong) else len(line))
    if lines:
        yield Piece(path, start, stop, before, lines)


def read(piece: Piece, layout: Layout) -> Iterator[Record | Bad]:
    """Yields the records of a piece. An empty line is a record of no text; among JSON objects it is none."""
    found = _lines(piece) if layout.field is None else _objects(piece, layout.field, layout.key)
    for record in found:
        if isinstance(record, Record):
            size = len(record.text.encode())
            if size > layout.longest:
                record = Bad(
                    record.file, record.line, f"a record must have {layout.longest:,} bytes at most: it has {size:,}"
                )
        yield record


def _lines(piece: Piece) -> Iterator[Record | Bad]:
    _, blocks = read_lines(piece.path, piece.start, piece.stop)
    for number, (start, line) in enumerate(lines_of(blocks, piece.start), piece.before + 1):
        if isinstance(line, TooLong):
            yield _bad(piece.path, number, line)
            continue
        if start == 0:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if line.endswith(b"\n"):
            line = line[:-1].removesuffix(b"\r")
        try:
            yield Record(f"{piece.path}:{number}", line.decode("utf-8"), piece.path, number)
        except UnicodeDecodeError as error:
            yield _bad(piece.path, number, not_utf8(error, start, number))


def _objects(piece: Piece, field: str, key: str | None) -> Iterator[Record | Bad]:
    _, blocks = read_lines(piece.path, piece.start, piece.stop)
    for event in json_lines(blocks, FieldsConfig(text=field, id=key), piece.start):
        if isinstance(event, Document):
            number = piece.before + event.number
            yield Record(event.id or f"{piece.path}:{number}", event.raw.decode("utf-8"), piece.path, number)
        elif isinstance(event, BadRecord):
            yield _bad(piece.path, piece.before + (event.line or 0), event)


def _bad(path: str, number: int, what: BadRecord | RecordError) -> Bad:
    return Bad(path, number, f"{what.rule}: {what.reason}")
