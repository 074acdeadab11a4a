"""The layout of a split: where documents open, and which predictions each lane has."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.transform.lanes import LaneSpec, SplitLayout, lane_specs
from tests.components.transform.reference import cut

LAYOUTS = st.builds(SplitLayout, st.integers(1, 300), st.integers(1, 12), st.integers(1, 9))


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
    specs = lane_specs("train", SplitLayout(5, 2, 2), [(0, 2, 3), (2, 3, 2)])
    assert specs == [
        LaneSpec("train", lane=0, tokens=3, blocks=((0, 2),), skip=0),  # <end> a b
        LaneSpec("train", lane=1, tokens=4, blocks=((0, 2), (2, 3)), skip=2),  # b <end> c <end>
    ]


def test_lane_specs_more_lanes_than_predictions_are_single_tokens() -> None:
    # <end> a <end>: three lanes of two predictions.
    specs = lane_specs("train", SplitLayout(2, 3, 2), [(0, 1, 2)])
    assert [(spec.tokens, spec.skip) for spec in specs] == [(1, 0), (2, 0), (2, 1)]
