"""The windows as a tf.data pipeline: the same as the reader's own."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from components.transform.reader import LaneReader
from components.transform.tf_data import dataset
from tests.components.transform.reference import CASES, Transformed


@pytest.mark.parametrize(("name", "batch_size"), [("37_documents", None), ("two_byte_ids", 1), ("37_documents", 1)])
@pytest.mark.parametrize("first", [0, 1, 7])
def test_dataset_from_any_step_is_the_readers_windows(
    transformed_case: Callable[[str], Transformed], name: str, batch_size: int | None, first: int
) -> None:
    reader = LaneReader(transformed_case(name).examples, "train", CASES[name].specials.index("end"), batch_size)
    windows = list(dataset(reader, first).as_numpy_iterator())
    expected = list(reader.windows(first))
    assert len(windows) == len(expected) == reader.steps - first > 1
    for window, same in zip(windows, expected, strict=True):
        for array, other in zip(window, same, strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)


def test_dataset_shapes_are_known_before_it_is_read(transformed_case: Callable[[str], Transformed]) -> None:
    reader = LaneReader(transformed_case("37_documents").examples, "train", 0)
    shape = (reader.batch_size, reader.layout.window_length)
    assert [spec.shape for spec in dataset(reader).element_spec] == [shape] * 4


def test_lane_files_are_read_by_tensorflows_own_reader(transformed_case: Callable[[str], Transformed]) -> None:
    # It checks the checksums.
    for path in transformed_case("two_byte_ids").examples.glob("Split-*/*.tfrecord"):
        assert sum(1 for _ in tf.data.TFRecordDataset(str(path))) > 0
