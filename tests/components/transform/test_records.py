"""Lane files: TFRecords that TensorFlow reads too, written whole or not at all."""

import contextlib
import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.transform import records
from components.transform.records import LaneWriter, concatenate, lane_file, read_records, record_dtype, token_dtype
from tests.components.transform.reference import parse_tfrecord, tokens

STREAM = np.arange(1, 18)  # 17 tokens: 16 predictions


def write(path: Path, stream: np.ndarray = STREAM, length: int = 5, windows: int = 4, dtype: str = "<u2") -> Path:
    with LaneWriter(path, length, windows, np.dtype(dtype)) as writer:
        writer.write(stream)
    return path


def fail_while_writing(path: Path) -> list[Path]:
    """Returns the files that were there when it failed."""
    files = []
    with contextlib.suppress(KeyError), LaneWriter(path, 5, 4, np.dtype("<u2")) as writer:
        writer.write(STREAM[::-1])
        files = list(path.parent.iterdir())
        raise KeyError
    return files


@pytest.mark.parametrize(
    ("size", "name"),
    [(1, "uint8"), (256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32"), (1114112, "uint32")],
)
def test_token_dtype_is_the_smallest_that_holds_every_id(size: int, name: str) -> None:
    assert token_dtype(size).name == name


def test_lane_file_names_sort_in_the_order_of_lanes() -> None:
    names = [lane_file(lane, 1000) for lane in range(1000)]
    assert names[12] == "lane-00012-of-01000.tfrecord"
    assert names == sorted(names)


def test_lane_writer_windows_overlap_by_one_token_and_the_rest_is_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "lane")
    assert [tokens(record, "uint16") for record in parse_tfrecord(path)] == [
        [1, 2, 3, 4, 5, 6],
        [6, 7, 8, 9, 10, 11],
        [11, 12, 13, 14, 15, 16],
        [16, 17, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4"])
def test_lane_writer_file_is_read_by_tfrecord_dataset(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "lane", dtype=dtype)
    # TFRecordDataset verifies both checksums of every record.
    by_tensorflow = [np.frombuffer(record.numpy(), dtype) for record in tf.data.TFRecordDataset(str(path))]
    np.testing.assert_array_equal(by_tensorflow, read_records(path, 5, np.dtype(dtype)))
    assert by_tensorflow[-1].tolist() == [16, 17, 0, 0, 0, 0]


def test_tfrecord_dataset_flipped_bit_is_noticed(tmp_path: Path) -> None:
    # Guard: reading with TFRecordDataset does prove that the checksums are right.
    path = write(tmp_path / "lane")
    raw = bytearray(path.read_bytes())
    raw[14] ^= 1
    path.write_bytes(raw)
    with pytest.raises(tf.errors.DataLossError):
        list(tf.data.TFRecordDataset(str(path)))


@pytest.mark.parametrize("cursor", [0, 1, 3])
def test_lane_writer_file_is_sought_by_fixed_length_record_dataset(tmp_path: Path, cursor: int) -> None:
    path = write(tmp_path / "lane")
    size = record_dtype(5, np.dtype("<u2")).itemsize
    dataset = tf.data.FixedLengthRecordDataset(str(path), record_bytes=size, header_bytes=cursor * size)
    by_tensorflow = [np.frombuffer(record.numpy()[12:-4], "<u2") for record in dataset]
    np.testing.assert_array_equal(by_tensorflow, read_records(path, 5, np.dtype("<u2"))[cursor:])


def test_lane_writer_single_record_is_between_twelve_and_four_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "lane", STREAM[:6], windows=1)
    dataset = tf.data.FixedLengthRecordDataset(str(path), record_bytes=12, header_bytes=12, footer_bytes=4)
    assert [np.frombuffer(record.numpy(), "<u2").tolist() for record in dataset] == [[1, 2, 3, 4, 5, 6]]


@given(
    length=st.integers(1, 6),
    parts=st.lists(st.lists(st.integers(0, 255), max_size=20), max_size=8),
    at_once=st.integers(1, 3),
)
@settings(max_examples=100, deadline=None)
def test_lane_writer_any_portions_give_the_same_windows(
    tmp_path_factory: pytest.TempPathFactory, length: int, parts: list[list[int]], at_once: int
) -> None:
    stream = [7, 8, *itertools.chain.from_iterable(parts)]
    windows = -(-(len(stream) - 1) // length)
    path = tmp_path_factory.getbasetemp() / "portions"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_WINDOWS_AT_ONCE", at_once)
        with LaneWriter(path, length, windows, np.dtype("<u1")) as writer:
            writer.write(np.array([7, 8]))
            for part in parts:
                writer.write(np.array(part, np.int64))
    padded = stream + [0] * (windows * length + 1 - len(stream))
    naive = [padded[w * length : w * length + length + 1] for w in range(windows)]
    assert [tokens(record, "uint8") for record in parse_tfrecord(path)] == naive


def test_lane_writer_file_appears_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "lane"
    with LaneWriter(path, 5, 4, np.dtype("<u2")) as writer:
        writer.write(STREAM)
        assert not path.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["lane"]


def test_lane_writer_exception_inside_leaves_nothing(tmp_path: Path) -> None:
    seen = fail_while_writing(tmp_path / "lane")
    assert len(seen) == 1  # guard: there was something to remove
    assert list(tmp_path.iterdir()) == []


def test_lane_writer_exception_inside_keeps_an_earlier_file(tmp_path: Path) -> None:
    before = write(tmp_path / "lane").read_bytes()
    fail_while_writing(tmp_path / "lane")
    assert (tmp_path / "lane").read_bytes() == before


def test_lane_writer_more_tokens_than_windows_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="LaneWriter: tokens must fit into the windows"):
        write(tmp_path / "lane", windows=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [1, 4, 13])
def test_read_records_truncated_file_is_refused_with_name_and_size(tmp_path: Path, missing: int) -> None:
    path = write(tmp_path / "lane")
    whole = path.read_bytes()
    assert read_records(path, 5, np.dtype("<u2")).shape == (4, 6)
    path.write_bytes(whole[:-missing])
    with pytest.raises(ValueError, match=rf"multiple of 28 bytes.*lane of {len(whole) - missing} bytes.* damaged"):
        read_records(path, 5, np.dtype("<u2"))


def test_read_records_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lane").touch()
    with pytest.raises(ValueError, match="of 0 bytes"):
        read_records(tmp_path / "lane", 5, np.dtype("<u2"))


def test_read_records_other_window_length_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "lane")
    with pytest.raises(ValueError, match="window_length=6"):
        read_records(path, 6, np.dtype("<u2"))


@pytest.mark.parametrize("count", [2, 6, 7, 11, 16, 17])
def test_concatenate_windows_of_a_lane_give_its_tokens(tmp_path: Path, count: int) -> None:
    path = write(tmp_path / "lane", STREAM[:count], windows=-(-(count - 1) // 5))
    windows = read_records(path, 5, np.dtype("<u2"))
    assert concatenate(windows, count - 1).tolist() == STREAM[:count].tolist()
