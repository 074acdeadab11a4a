"""The bytes of an input file in blocks: from any file system, decompressed, whole or a range of lines."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

# What a worker holds of a file at a time, twice or three times over.
BLOCK_BYTES = 1 << 20
# Decompressed at a time: what a decompressor has done of a piece is lost when it then meets corrupt data.
_PIECE_BYTES = 1 << 16


class CorruptFile(Exception):
    """A compressed file ends too early, or is not what its name says."""


def is_remote(path: str) -> bool:
    """Says whether a path or pattern is a URL, `scheme://…`, which Beam's file systems read."""
    return "://" in path


def open_file(path: str) -> BinaryIO:
    """Opens a local or remote file for reading, without decompressing it."""
    if not is_remote(path):
        return Path(path).open("rb")
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def is_compressed(path: str) -> bool:
    """Says whether the name of a file ends as one of a compressed file does."""
    return _suffix(path) in _DECOMPRESSORS


def read_blocks(path: str) -> Iterator[bytes]:
    """Yields the content of a file, decompressed if its name ends in .gz, .bz2, .zst, .xz or .deflate.

    Raises:
        CorruptFile: After the last block that could be decompressed.
    """
    with open_file(path) as file:
        blocks = _raw_blocks(file)
        yield from decompressed(blocks, _suffix(path)) if is_compressed(path) else blocks


def read_lines(path: str, start: int, stop: int) -> tuple[int, Iterator[bytes]]:
    """Reads those lines of an uncompressed file that begin in a range of bytes.

    Ranges that meet give each line once.

    Returns:
        The byte at which the first of them begins, and blocks that hold them and nothing else.
    """
    file = open_file(path)
    begin = start
    if start:
        file.seek(start - 1)  # a line that begins at `start` follows the newline before it
        begin = start - 1 + _to_next_line(_raw_blocks(file))
        file.seek(begin)
    return begin, _line_blocks(file, begin, stop)


def _line_blocks(file: BinaryIO, position: int, stop: int) -> Iterator[bytes]:
    with file:
        if position >= stop:
            return
        for block in _raw_blocks(file):
            # The line that holds byte stop - 1 is the last; it may end far behind.
            end = block.find(b"\n", max(stop - 1 - position, 0))
            if end >= 0:
                yield block[: end + 1]
                return
            yield block
            position += len(block)


def _to_next_line(blocks: Iterator[bytes]) -> int:
    """Bytes up to and with the first newline; all of them when there is none."""
    size = 0
    for block in blocks:
        end = block.find(b"\n")
        if end >= 0:
            return size + end + 1
        size += len(block)
    return size


def _raw_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yields blocks of one size, however many bytes a read gives: what follows must not depend on the network."""
    block = bytearray()
    while piece := file.read(BLOCK_BYTES - len(block)):
        block += piece
        if len(block) == BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


# ---- Decompression --------------------------------------------------------------------------------------------------
# Beam's own reader, and so its FileSystems.open, takes a file that was cut off for one that ends there.


def decompressed(blocks: Iterator[bytes], suffix: str) -> Iterator[bytes]:
    """Yields what compressed blocks hold; files put one after the other are read as one.

    Args:
        blocks: Of the compressed file.
        suffix: `.gz` and so on.

    Raises:
        CorruptFile: After what could be read.
    """
    new, errors = _DECOMPRESSORS[suffix]
    decompressor = new()
    for block in blocks:
        rest = block
        while rest or not (decompressor.eof or decompressor.needs_input):
            if decompressor.eof:
                decompressor = new()
            try:
                piece = decompressor.decompress(rest, _PIECE_BYTES)
            except errors as error:
                raise CorruptFile(f"the {suffix} data is corrupt ({error})") from error
            rest = decompressor.unused_data if decompressor.eof else b""
            if suffix == ".gz":
                rest = rest.lstrip(b"\0")  # some tools fill up with zeros
            if piece:
                yield piece
    if not decompressor.eof:
        raise CorruptFile(f"the {suffix} data is cut off")


class _Zlib:
    """zlib's decompressor behind the methods of bz2's and lzma's."""

    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _Zstandard:
    """Zstandard's decompressor behind the methods of bz2's and lzma's.

    It cannot stop at a maximum length, so it gets small pieces: each can grow to 128 KiB for every 4 bytes at most.
    """

    _PIECE_BYTES = 1 << 10

    def __init__(self) -> None:
        # Frames may ask for windows of up to 2 GiB (`zstd --ultra --long=31`).
        self._zstandard = zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        self._waiting = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._zstandard.eof

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return self._zstandard.unused_data + bytes(self._waiting)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._waiting = memoryview(bytes(self._waiting) + data)
        pieces, size = [], 0
        while self._waiting and size < max_length and not self.eof:
            piece, self._waiting = self._waiting[: self._PIECE_BYTES], self._waiting[self._PIECE_BYTES :]
            pieces.append(self._zstandard.decompress(piece))
            size += len(pieces[-1])
        return b"".join(pieces)


def _suffix(path: str) -> str:
    return "." + path.rpartition(".")[2].lower()


_DECOMPRESSORS: dict[str, tuple[Callable[[], Any], Any]] = {
    ".gz": (lambda: _Zlib(zlib.MAX_WBITS | 16), zlib.error),
    ".deflate": (lambda: _Zlib(zlib.MAX_WBITS), zlib.error),
    ".bz2": (bz2.BZ2Decompressor, OSError),
    ".xz": (lzma.LZMADecompressor, lzma.LZMAError),
    ".zst": (_Zstandard, zstandard.ZstdError),
}
