"""Arrays that grow on disk: the same bytes as np.save writes."""

from pathlib import Path

import numpy as np
import pytest

from components.array_file import ArrayFile


@pytest.mark.parametrize("rows", [0, 1, 7, 100_000])
@pytest.mark.parametrize(("dtype", "columns"), [(np.int64, 2), (np.uint64, None), (np.int8, 3)])
def test_array_file_any_size_is_what_numpy_saves(tmp_path: Path, rows: int, dtype: type, columns: int | None) -> None:
    shape = (rows,) if columns is None else (rows, columns)
    array = np.random.default_rng(rows).integers(0, 100, shape).astype(dtype)
    np.save(tmp_path / "reference.npy", array)
    file = ArrayFile(tmp_path / "grown.npy", dtype, columns)
    for part in (array[: rows // 3], array[rows // 3 : rows // 2], array[rows // 2 :].tolist()):
        file.extend(part)
    file.close()
    assert (tmp_path / "grown.npy").read_bytes() == (tmp_path / "reference.npy").read_bytes()
