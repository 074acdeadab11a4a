"""LaneReader: what the trainer is handed, against the naive stream."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.transform.reader import LaneReader, Window
from tests.components.transform.reference import CASES, Case, Transformed
from tests.testing import write_lanes

SPLITS = ("train", "eval", "test")


def reader(case: Case, transformed: Transformed, split: str, batch_size: int | None = None) -> LaneReader:
    return LaneReader(transformed.examples, split, case.specials.index("end"), batch_size)


def all_lanes(lanes: LaneReader) -> Window:
    """All windows side by side: arrays [lanes, windows × window_length]."""
    windows = [lanes.window(step) for step in range(lanes.steps)]
    return Window(*(np.concatenate(arrays, axis=1) for arrays in zip(*windows, strict=True)))


@pytest.mark.parametrize("split", SPLITS)
def test_stream_is_the_naive_stream(case: Case, transformed: Transformed, split: str) -> None:
    assert reader(case, transformed, split).stream().tolist() == case.stream(split)


@pytest.mark.parametrize("split", SPLITS)
def test_window_counted_positions_of_all_lanes_are_the_stream(case: Case, transformed: Transformed, split: str) -> None:
    window = all_lanes(reader(case, transformed, split))
    # Lane after lane; within a lane, window after window.
    inputs, targets = window.inputs[window.weights > 0], window.targets[window.weights > 0]
    assert [*inputs.tolist(), targets[-1]] == case.stream(split)
    assert [inputs[0], *targets.tolist()] == case.stream(split)


@pytest.mark.parametrize("split", SPLITS)
def test_window_rows_are_the_naive_lanes(case: Case, transformed: Transformed, split: str) -> None:
    window = all_lanes(reader(case, transformed, split))
    rows = [
        list(zip(inputs[weights > 0].tolist(), targets[weights > 0].tolist(), strict=True))
        for inputs, targets, weights in zip(window.inputs, window.targets, window.weights, strict=True)
    ]
    assert rows == case.lane_predictions(split)


@pytest.mark.parametrize("split", SPLITS)
def test_window_targets_are_inputs_shifted_by_one(case: Case, transformed: Transformed, split: str) -> None:
    lanes = reader(case, transformed, split)
    for step in range(lanes.steps):
        window = lanes.window(step)
        np.testing.assert_array_equal(window.targets[:, :-1], window.inputs[:, 1:])
        if step + 1 < lanes.steps:
            np.testing.assert_array_equal(window.targets[:, -1], lanes.window(step + 1).inputs[:, 0])


@pytest.mark.parametrize("split", SPLITS)
def test_window_reset_is_exactly_where_a_document_opens(case: Case, transformed: Transformed, split: str) -> None:
    window = all_lanes(reader(case, transformed, split))
    reset = window.reset[window.weights > 0]
    assert set(np.flatnonzero(reset).tolist()) == case.openings(split)
    assert reset.any()


@pytest.mark.parametrize("split", SPLITS)
def test_window_weights_are_one_until_the_lane_ends(case: Case, transformed: Transformed, split: str) -> None:
    weights = all_lanes(reader(case, transformed, split)).weights
    expected = [len(lane) for lane in case.lane_predictions(split)]
    assert [row.tolist() for row in weights] == [[1.0] * n + [0.0] * (weights.shape[1] - n) for n in expected]
    assert weights.sum() == len(case.stream(split)) - 1


def test_window_shapes_and_types(transformed_case: Callable[[str], Transformed]) -> None:
    case = CASES["two_byte_ids"]
    window = reader(case, transformed_case("two_byte_ids"), "train").window(40)
    assert [array.dtype.name for array in window] == ["int32", "int32", "bool", "float32"]
    assert {array.shape for array in window} == {(case.lanes, case.window_length)}
    assert window.inputs.min() > 255


def test_window_any_order_of_steps_is_the_same(transformed_case: Callable[[str], Transformed]) -> None:
    case, transformed = CASES["37_documents"], transformed_case("37_documents")
    forwards = [reader(case, transformed, "train").window(step) for step in range(9)]
    lanes = reader(case, transformed, "train")
    backwards = [lanes.window(step) for step in reversed(range(9))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        for array, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, same)
    assert not np.array_equal(forwards[0].inputs, forwards[1].inputs)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 6])
def test_window_smaller_batches_are_groups_of_lanes(
    transformed_case: Callable[[str], Transformed], batch_size: int
) -> None:
    case, transformed = CASES["one_window_per_lane"], transformed_case("one_window_per_lane")
    whole = reader(case, transformed, "train")
    grouped = reader(case, transformed, "train", batch_size)
    groups = case.lanes // batch_size
    assert grouped.steps == groups * whole.steps
    for group, step in itertools.product(range(groups), range(whole.steps)):
        rows = slice(group * batch_size, (group + 1) * batch_size)
        for array, expected in zip(grouped.window(group * whole.steps + step), whole.window(step), strict=True):
            np.testing.assert_array_equal(array, expected[rows])


def test_reader_group_of_shorter_lanes_has_no_window_without_a_token(tmp_path: Path) -> None:
    stream = np.asarray([0, *range(1, 9), 0])  # 9 predictions: lanes of 4 and 5 make 1 and 2 windows of 4
    write_lanes(tmp_path, {"train": (stream, 2)}, window_length=4, vocabulary_size=9)
    grouped = LaneReader(tmp_path, "train", 0, batch_size=1)
    windows = [grouped.window(step) for step in range(grouped.steps)]
    assert [window.weights.sum() for window in windows] == [4, 4, 1]
    assert [grouped.starts_lanes(step) for step in range(grouped.steps)] == [True, True, False]
    np.testing.assert_array_equal(np.concatenate([w.inputs[w.weights > 0] for w in windows]), stream[:-1])


@pytest.mark.parametrize("batch_size", [3, 8])
def test_reader_batch_size_not_dividing_the_lanes_is_refused(
    transformed_case: Callable[[str], Transformed], batch_size: int
) -> None:
    with pytest.raises(ValueError, match=rf"must divide the number of lanes.*batch_size={batch_size} for 5 lanes"):
        reader(CASES["37_documents"], transformed_case("37_documents"), "train", batch_size)


@pytest.mark.parametrize(("batch_size", "groups"), [(None, 1), (5, 1), (1, 5)])
def test_starts_lanes_first_step_of_each_group(
    transformed_case: Callable[[str], Transformed], batch_size: int | None, groups: int
) -> None:
    lanes = reader(CASES["dividing"], transformed_case("dividing"), "train", batch_size)
    assert lanes.layout.windows == 6
    assert [lanes.starts_lanes(step) for step in range(lanes.steps)] == [True, *[False] * 5] * groups


def test_reader_file_short_of_whole_windows_is_refused(
    tmp_path: Path, transformed_case: Callable[[str], Transformed]
) -> None:
    case, transformed = CASES["dividing"], transformed_case("dividing")
    (tmp_path / "Split-train").mkdir()
    for path in [*transformed.examples.glob("Split-train/*"), transformed.examples / "manifest.json"]:
        (tmp_path / path.relative_to(transformed.examples)).write_bytes(path.read_bytes())
    LaneReader(tmp_path, "train", 0)  # guard: the copy is fine
    path = tmp_path / "Split-train" / "lane-00003-of-00005.tfrecord"
    path.write_bytes(path.read_bytes()[: -(16 + case.window_length + 1)])
    with pytest.raises(ValueError, match=r"must hold 6 windows.*lane-00003-of-00005\.tfrecord with 5.*transform stage"):
        LaneReader(tmp_path, "train", 0)


@pytest.mark.parametrize("first", [0, 3, 8])
def test_windows_are_read_ahead_in_order_from_any_step(
    transformed_case: Callable[[str], Transformed], first: int
) -> None:
    lanes = reader(CASES["37_documents"], transformed_case("37_documents"), "train")
    windows = list(lanes.windows(first))
    assert len(windows) == lanes.steps - first > 1
    for step, window in enumerate(windows, first):
        for array, same in zip(window, lanes.window(step), strict=True):
            np.testing.assert_array_equal(array, same)


def test_windows_at_the_end_are_none(transformed_case: Callable[[str], Transformed]) -> None:
    lanes = reader(CASES["dividing"], transformed_case("dividing"), "train")
    assert list(lanes.windows(lanes.steps)) == []
