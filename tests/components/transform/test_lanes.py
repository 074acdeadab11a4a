"""The layout of a split: where documents open, and which predictions each lane has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.transform.lanes import LaneSpec, SplitLayout, end_positions, lane_specs
from tests.components.transform.reference import cut

LAYOUTS = st.builds(SplitLayout, st.integers(1, 300), st.integers(1, 12), st.integers(1, 9))


@pytest.mark.parametrize(
    ("characters", "positions"),
    [([2, 1], [0, 3, 5]), ([0], [0, 1]), ([0, 0, 3, 0], [0, 1, 2, 6, 7]), ([], [0])],
)
def test_end_positions_open_each_document_and_close_the_split(characters: list[int], positions: list[int]) -> None:
    assert end_positions(characters).tolist() == positions


@given(LAYOUTS)
def test_layout_lane_ranges_are_the_naive_cut(layout: SplitLayout) -> None:
    naive = cut(list(range(layout.predictions)), layout.lanes)
    ranges = [layout.lane_range(lane) for lane in range(layout.lanes)]
    assert [list(range(*r)) for r in ranges] == naive
    assert layout.lane_lengths().tolist() == [len(lane) for lane in naive]


@given(LAYOUTS)
def test_layout_lanes_differ_by_one_prediction_at_most(layout: SplitLayout) -> None:
    assert np.ptp(layout.lane_lengths()) <= 1


@given(LAYOUTS)
def test_layout_windows_hold_the_longest_lane_and_no_window_more(layout: SplitLayout) -> None:
    longest = max(layout.lane_lengths())
    assert (layout.windows - 1) * layout.window_length < longest <= layout.windows * layout.window_length


@given(LAYOUTS)
def test_layout_padding_is_what_no_prediction_fills(layout: SplitLayout) -> None:
    free = [layout.windows * layout.window_length - length for length in layout.lane_lengths().tolist()]
    assert layout.padding == sum(free)


def test_lane_specs_of_the_example_in_the_module() -> None:
    # <end> a b <end> c <end>, in two lanes; the text "abc" in blocks of two bytes.
    specs = lane_specs("train", SplitLayout(5, 2, 2), end_positions([2, 1]), [(0, 2, 2), (2, 3, 1)])
    assert specs == [
        LaneSpec("train", lane=0, tokens=3, blocks=((0, 2),), skip=0, ends=(0,)),  # <end> a b
        LaneSpec("train", lane=1, tokens=4, blocks=((0, 2), (2, 3)), skip=1, ends=(1, 3)),  # b <end> c <end>
    ]
