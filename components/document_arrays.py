"""The arrays of a split on disk: one file of their bytes, one of where each starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from components.array_file import ArrayFile

ARRAYS, ARRAY_STARTS = "arrays.bin", "arrays.npy"


class ArraysWriter:
    """Writes arrays one after the other; whole once it is closed.

    Args:
        folder: An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self._bytes = 0
        self._file = (folder / ARRAYS).open("wb")
        self._starts = ArrayFile(folder / ARRAY_STARTS, np.int64)
        self._starts.extend([0])

    def extend(self, pieces: Iterable[bytes], sizes: Sequence[int] | np.ndarray) -> None:
        """Adds arrays.

        Args:
            pieces: Their bytes, nothing between them, in any pieces.
            sizes: Bytes of each.
        """
        written = 0
        for piece in pieces:
            written += self._file.write(piece)
        stops = np.cumsum(np.asarray(sizes, np.int64)) + self._bytes
        self._bytes += written
        if written and (not len(stops) or stops[-1] != self._bytes):
            raise RuntimeError(
                f"ArraysWriter: sizes must add up to the bytes. Received: {sizes!r} for {written} bytes."
            )
        self._starts.extend(stops)

    def close(self) -> None:
        """Writes what is known of the whole."""
        self._file.close()
        self._starts.close()
