"""Windows on disk: TFRecords of one fixed size, so that any of them is found by multiplication.

A record is the TFRecord frame (length, masked CRC-32C of the length, data, masked CRC-32C of the data) around
`window_length + 1` little-endian token ids; padding positions hold 0. As all records of a file have one size, NumPy
maps the file as an array of structures; `tf.data.TFRecordDataset` reads it as well.
Format: TensorFlow, `core/lib/io/record_writer.h`.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c
import numpy as np

# Enough windows at a time for NumPy to be fast, few enough that memory does not depend on the corpus.
_WINDOWS_AT_ONCE = 4096
_MASK_DELTA = 0xA282EAD8


def token_dtype(vocabulary_size: int) -> np.dtype:
    """Smallest of uint8, uint16 and uint32 that holds every id."""
    return np.dtype(np.min_scalar_type(max(vocabulary_size - 1, 0))).newbyteorder("<")


HEADER_BYTES = 12  # a record's length and that number's checksum, before the data
FRAME_BYTES = HEADER_BYTES + 4  # and the data's checksum, after it


def tfrecord(tokens: np.ndarray, dtype: np.dtype) -> bytes:
    """One framed record of any length."""
    data = tokens.astype(dtype).tobytes()
    length = np.uint64(len(data)).tobytes()
    return b"".join((length, _crc_bytes(length), data, _crc_bytes(data)))


def _crc_bytes(data: bytes) -> bytes:
    return int.to_bytes(masked_crc(data), 4, "little")


def record_dtype(window_length: int, dtype: np.dtype) -> np.dtype:
    """Layout of one record."""
    return np.dtype([("length", "<u8"), ("length_crc", "<u4"), ("tokens", dtype, window_length + 1), ("crc", "<u4")])


def lane_file(lane: int, lanes: int) -> str:
    """File name of a lane's shard."""
    return f"lane-{lane:05d}-of-{lanes:05d}.tfrecord"


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and offset as TFRecord asks (a CRC of data that holds CRCs is weak)."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def masked_crcs(rows: np.ndarray) -> np.ndarray:
    """`masked_crc` of each row of uint8 [rows, bytes]: uint32 [rows].

    A CRC is linear over GF(2): that of a row is that of as many zeros, XOR what each byte changes at its place.
    """
    crcs = np.full(len(rows), google_crc32c.value(bytes(rows.shape[1])), np.uint32)
    for column, changes in zip(rows.T, _crc_changes(rows.shape[1]), strict=True):
        crcs ^= changes[column]
    return np.asarray((crcs >> np.uint32(15) | crcs << np.uint32(17)) + np.uint32(_MASK_DELTA))


@cache
def _crc_changes(length: int) -> np.ndarray:
    """What each byte at each place of `length` bytes changes in their CRC: uint32 [length, 256]."""
    changes = np.empty((length, 256), np.uint32)
    zero = google_crc32c.value(b"\0")
    changes[-1] = last = np.asarray([google_crc32c.value(bytes([byte])) ^ zero for byte in range(256)], np.uint32)
    for place in reversed(range(length - 1)):
        # One zero byte more behind it.
        changes[place] = last[changes[place + 1] & 0xFF] ^ changes[place + 1] >> np.uint32(8)
    return changes


class LaneWriter:
    """Writes one lane's tokens as overlapping windows; the file appears under its name only when complete.

    Window w holds tokens w·L to w·L + L: the last token of a window is the first of the next. Use as a context manager;
    an exception inside leaves nothing behind.

    Args:
        path: The file.
        window_length: L, steps in a window.
        windows: Number of windows the file shall have; what the tokens do not fill is 0.
        dtype: Type of the stored ids.
    """

    def __init__(self, path: Path, window_length: int, windows: int, dtype: np.dtype) -> None:
        self._path = path
        # The name is the worker's own: a retried or doubled worker must not write into the same file.
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}")
        self._window_length = window_length
        self._windows_left = windows
        self._dtype = record_dtype(window_length, dtype)
        self._pending = np.zeros(0, dtype)
        self._length_crc = masked_crc(np.uint64(self._dtype["tokens"].itemsize).tobytes())

    def __enter__(self) -> Self:
        self._file = self._temporary.open("wb")
        return self

    def write(self, tokens: np.ndarray) -> None:
        """Adds tokens to the lane."""
        self._pending = np.concatenate([self._pending, tokens.astype(self._pending.dtype)])
        whole = (len(self._pending) - 1) // self._window_length
        if whole >= _WINDOWS_AT_ONCE:
            self._flush(whole)

    def _flush(self, windows: int) -> None:
        length = self._window_length
        for first in range(0, windows, _WINDOWS_AT_ONCE):
            count = min(_WINDOWS_AT_ONCE, windows - first)
            span = self._pending[first * length : (first + count) * length + 1]
            records = np.zeros(count, self._dtype)
            records["length"] = self._dtype["tokens"].itemsize
            records["length_crc"] = self._length_crc
            records["tokens"] = np.lib.stride_tricks.sliding_window_view(span, length + 1)[::length]
            records["crc"] = masked_crcs(np.ascontiguousarray(records["tokens"]).view(np.uint8))
            self._file.write(records.tobytes())
        self._windows_left -= windows
        self._pending = self._pending[windows * length :]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._file:
                if kind is None:
                    self._fill()
            if kind is None:
                self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _fill(self) -> None:
        missing = self._windows_left * self._window_length + 1 - len(self._pending)
        if missing < 0:
            raise ValueError(
                f"LaneWriter: tokens must fit into the windows. Received: {-missing} tokens too many for "
                f"{self._path}. Count the windows anew."
            )
        self._pending = np.pad(self._pending, (0, missing))
        self._flush(self._windows_left)


def read_records(path: Path, window_length: int, dtype: np.dtype) -> np.ndarray:
    """Maps a lane's file: its windows as integers [windows, window_length + 1], read from disk when touched.

    Raises:
        ValueError: The file's size is not that of whole records.
    """
    layout = record_dtype(window_length, dtype)
    size = path.stat().st_size
    if size == 0 or size % layout.itemsize:
        raise ValueError(
            f"Lane file: size must be a multiple of {layout.itemsize} bytes (window_length={window_length}). "
            f"Received: {path} of {size} bytes. It is damaged, or of other settings: run the transform stage again."
        )
    return np.memmap(path, dtype=layout, mode="r")["tokens"]


def concatenate(windows: np.ndarray, predictions: int) -> np.ndarray:
    """A lane's windows as its token stream: `predictions` inputs and the last target, integers [predictions + 1]."""
    length = windows.shape[1] - 1
    whole, rest = divmod(predictions, length)
    head = windows[:whole, :length].reshape(-1)
    tail = windows[whole, : rest + 1] if rest else windows[whole - 1, length:]
    return np.concatenate([head, tail])
