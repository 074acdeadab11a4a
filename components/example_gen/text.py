"""Plain text to documents: one a file, one a line, or one between two separators. Pure; a block in memory at a time."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from components.documents import to_line
from components.example_gen.blocks import BLOCK_BYTES, CorruptFile
from components.example_gen.markdown import plain_text
from components.example_gen.parsed import (
    BadRecord,
    Batch,
    Document,
    End,
    Event,
    Part,
    Total,
    corrupt,
    empty_file,
    not_utf8,
)

_NEWLINE = b"\n"


def whole_file(blocks: Iterable[bytes]) -> Iterator[Event]:
    """A file is a document; nothing in it is changed: no newline translation, no normalisation."""
    document = _LongDocument(offset=0, line=None)
    try:
        for block in blocks:
            yield from document.feed(block)
    except CorruptFile as error:
        yield corrupt(str(error), document.offset, None)
        return
    yield from [empty_file()] if not document.size else document.end(number=1)


def markdown_file(blocks: Iterable[bytes], name: str) -> Iterator[Event]:
    """A Markdown file is a document of plain text, made in memory, with a name."""
    raw = b"".join(blocks)
    if not raw:
        yield empty_file()
        return
    try:
        text = plain_text(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        yield not_utf8(error, 0, None)
        return
    yield Document(text.encode("utf-8"), len(text), to_line({"id": name}), number=1, offset=0, id=name)


def separated(blocks: Iterable[bytes], separator: bytes | None, offset: int = 0) -> Iterator[Event]:
    """Documents end where a separator does, and the last one where the file ends; a final separator adds none.

    Args:
        blocks: Of the file.
        separator: None for lines: they end in a newline, or a carriage return and a newline. An empty line is a
            document of no characters.
        offset: Byte of the file at which the blocks start.
    """
    lines = separator is None
    number = 1
    long: _LongDocument | None = None
    try:
        for piece in _pieces(blocks, separator or _NEWLINE, lines):
            line = number if lines else None
            if piece.stops is not None:
                yield from _documents(piece, piece.stops, lines, number, offset)
                number += len(piece.stops)
                offset += len(piece.raw)
                continue
            long = long or _LongDocument(offset, line)
            yield from long.feed(piece.raw.removesuffix(b"\r") if lines and piece.mark else piece.raw)
            offset += len(piece.raw) + len(piece.mark)
            if piece.last:
                yield from long.end(number)
                long, number = None, number + 1
        yield Total(number - 1)
    except CorruptFile as error:
        yield corrupt(str(error), long.offset if long else offset, number if lines else None)


class _Piece(NamedTuple):
    """Bytes of a file: whole documents, each with the separator after it, or a part of a long one, without it.

    Attributes:
        raw: The bytes.
        stops: Where the separators of whole documents are; None for a part.
        mark: The separator after each document, or after the part; empty where there is none.
        last: Whether the part is the document's last.
    """

    raw: bytes
    stops: np.ndarray | None
    mark: bytes
    last: bool = True


def _pieces(blocks: Iterable[bytes], mark: bytes, lines: bool) -> Iterator[_Piece]:
    # The last bytes of a block may be the start of a separator, or a carriage return before a newline.
    held_back = len(mark) - 1 + lines
    buffer, long = b"", False
    for block in blocks:
        buffer += block
        if long and (stop := buffer.find(mark)) >= 0:
            yield _Piece(buffer[:stop], None, mark)
            buffer, long = buffer[stop + len(mark) :], False
        if not long:
            stops = _find(mark, buffer)
            if len(stops):
                end = int(stops[-1]) + len(mark)
                yield _Piece(buffer[:end], stops, mark)
                buffer = buffer[end:]
            long = len(buffer) >= BLOCK_BYTES
        if long:
            cut = max(len(buffer) - held_back, 0)
            yield _Piece(buffer[:cut], None, b"", last=False)
            buffer = buffer[cut:]
    if long:
        yield _Piece(buffer, None, b"")
    elif buffer:
        yield _Piece(buffer, np.array([len(buffer)]), b"")


def _find(mark: bytes, raw: bytes) -> np.ndarray:
    if len(mark) == 1:
        return np.flatnonzero(np.frombuffer(raw, np.uint8) == mark[0])
    return np.array([found.start() for found in re.finditer(re.escape(mark), raw)], np.int64)


def _documents(piece: _Piece, stops: np.ndarray, lines: bool, number: int, offset: int) -> Iterator[Event]:
    """The documents of a piece that holds whole ones: good ones that are neighbours together, a bad one by itself."""
    starts = np.concatenate([[0], stops[:-1] + len(piece.mark)])
    view = memoryview(piece.raw)
    first, count = 0, len(stops)
    while first < count:
        bad, error = count, None
        try:
            codecs.utf_8_decode(view[starts[first] :], "strict", True)
        except UnicodeDecodeError as caught:
            error = caught
            bad = int(np.searchsorted(stops, starts[first] + error.start))
        if first < bad:
            yield _batch(piece, starts[first:bad], stops[first:bad], lines, number + first, offset)
        if error is not None:
            yield not_utf8(error, offset + int(starts[first]), number + bad if lines else None)
        first = bad + 1


def _batch(piece: _Piece, starts: np.ndarray, stops: np.ndarray, lines: bool, first: int, offset: int) -> Batch:
    begin = int(starts[0])
    raw = piece.raw[begin : int(stops[-1]) + len(piece.mark)]
    codes = np.frombuffer(raw, np.uint8)
    text, ends = raw, stops
    if piece.mark and lines:
        returns = (codes[stops - begin - 1] == ord("\r")) & (stops > starts)
        ends = stops - returns
        text = (raw.replace(b"\r\n", _NEWLINE) if returns.any() else raw).translate(None, _NEWLINE)
    elif piece.mark:
        text = raw.replace(piece.mark, b"")
    sizes = characters = ends - starts
    if not raw.isascii():
        # A character has one byte that is no continuation byte (10xxxxxx).
        begun = np.concatenate([[0], np.cumsum((codes & 0xC0) != 0x80)])
        characters = begun[ends - begin] - begun[starts - begin]
    return Batch(text, np.stack([sizes, characters], axis=1), first, starts + offset)


class _LongDocument:
    """Decodes a document part by part; the first bad byte is reported when it ends.

    Attributes:
        offset: Byte of the file at which it starts.
        size: Bytes seen of it.
    """

    def __init__(self, offset: int, line: int | None) -> None:
        self.offset, self.size, self._line = offset, 0, line
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._bad: BadRecord | None = None

    def feed(self, raw: bytes, final: bool = False) -> Iterator[Part]:
        """Yields the characters that end in the next bytes."""
        if self._bad is None:
            waiting = self._decoder.getstate()[0]
            try:
                text = self._decoder.decode(raw, final)
            except UnicodeDecodeError as error:
                self._bad = not_utf8(error, self.offset + self.size - len(waiting), self._line)
            else:
                if text:
                    yield Part(text.encode("utf-8"), len(text))
        self.size += len(raw)

    def end(self, number: int) -> Iterator[Event]:
        """Yields the rest, and whether it is a document."""
        yield from self.feed(b"", final=True)
        yield self._bad or End(number, self.offset)
