"""An array on disk that grows row by row: what `np.save` would have written, without holding it in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np


class ArrayFile:
    """Appends rows to a `.npy` file; whole once it is closed.

    Args:
        path: The file; what was there is lost.
        dtype: Type of the numbers.
        columns: Numbers in a row; None for an array of one axis.
    """

    def __init__(self, path: Path, dtype: type[np.generic], columns: int | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._row = () if columns is None else (columns,)
        self._rows = 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()
        self._start = self._file.tell()

    def extend(self, rows: Any) -> None:
        """Adds rows: an array, or what makes one, of shape [rows] or [rows, columns]."""
        array = np.ascontiguousarray(rows, self._dtype).reshape(-1, *self._row)
        self._file.write(array.data if array.size else b"")
        self._rows += len(array)

    def close(self) -> None:
        """Writes the number of rows, now that it is known. NumPy's header has room for any."""
        self._file.seek(0)
        self._write_header()
        if self._file.tell() != self._start:
            raise RuntimeError(f"ArrayFile: the header must keep its size. Received: {self._rows} rows.")
        self._file.close()

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._row),
        }
        np.lib.format.write_array_header_1_0(self._file, header)
