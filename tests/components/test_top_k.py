"""The largest of long rows, beside NumPy's stable sort."""

import numpy as np
import pytest
from keras import ops

from components.top_k import top_k


def expected(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(values, index, axis=1), index


@pytest.mark.parametrize(("rows", "size", "count"), [(3, 5, 5), (2, 128, 1), (3, 1000, 1), (2, 2049, 4), (5, 6095, 8)])
def test_top_k_equals_a_sort(rows: int, size: int, count: int) -> None:
    values = np.random.default_rng(size).normal(size=(rows, size)).astype("float32")
    largest, index = (np.asarray(found) for found in top_k(ops.convert_to_tensor(values), count))
    np.testing.assert_array_equal(largest, expected(values, count)[0])
    np.testing.assert_array_equal(index, expected(values, count)[1])


def test_top_k_of_equal_numbers_takes_the_first() -> None:
    # Of three different numbers only, in all pieces of the row; -inf where nothing else is left.
    values = np.random.default_rng(0).integers(0, 3, (4, 3000)).astype("float32")
    values[1] = 0
    values[2] = -np.inf
    values[3] = -np.inf
    values[3, [2, 2900]] = 1
    largest, index = (np.asarray(found) for found in top_k(ops.convert_to_tensor(values), 6))
    np.testing.assert_array_equal(largest, expected(values, 6)[0])
    np.testing.assert_array_equal(index, expected(values, 6)[1])
    assert index[1].tolist() == index[2].tolist() == [0, 1, 2, 3, 4, 5]
    assert index[3].tolist() == [2, 2900, 0, 1, 3, 4]
