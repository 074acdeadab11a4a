"""Where every token of a split lies: in the documents' text, in the token stream, in lanes and in windows. Pure.

All documents of a split, in order, form one token stream. Each is stored as `<end> c1 … cn`, and one `<end>` closes the
split. With D documents of C tokens in all, the stream has C + D + 1 tokens and C + D predictions: every token but the
first is the target of the one before it.

    documents          "ab"      "c"
    stream          <end> a b <end> c <end>          C + D + 1 = 6 tokens
    predictions     0     1 2 3     4                input stream[p], target stream[p + 1]
    2 lanes         └─lane 0─┘      └lane 1          lane b: predictions bP/B … (b+1)P/B, rounded down
    windows of 2    └0─┘└1 ·        └0─┘             · is a position of weight 0: it holds no token

Lanes differ in length by one prediction at most. The last window of a lane is filled up with weight 0, so no token is
lost, and concatenating the windows of all lanes gives the stream back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SplitLayout:
    """How the stream of one split is cut into lanes.

    Attributes:
        predictions: Tokens of the stream less one.
        lanes: Number of lanes.
        window_length: Steps in a window.
    """

    predictions: int
    lanes: int
    window_length: int

    def lane_range(self, lane: int) -> tuple[int, int]:
        """First prediction of a lane, and the one after its last."""
        return lane * self.predictions // self.lanes, (lane + 1) * self.predictions // self.lanes

    @property
    def windows(self) -> int:
        """Windows in each lane."""
        longest = -(-self.predictions // self.lanes)
        return -(-longest // self.window_length)

    @property
    def padding(self) -> int:
        """Positions of weight 0 in all lanes together."""
        return self.lanes * self.windows * self.window_length - self.predictions

    def lane_lengths(self) -> np.ndarray:
        """Predictions of each lane, int64 [lanes]."""
        borders = np.arange(self.lanes + 1, dtype=np.int64) * self.predictions // self.lanes
        return np.diff(borders)


@dataclass(frozen=True)
class LaneSpec:
    """All that a worker needs in order to write one lane.

    Attributes:
        split: Name of the split.
        lane: Number of the lane.
        tokens: Tokens of the lane, the target of its last prediction included.
        blocks: Byte ranges (start, stop) of the split's text that hold them; the stream's closing `<end>` is in none.
        skip: Tokens of the first block that come before the lane.
    """

    split: str
    lane: int
    tokens: int
    blocks: tuple[tuple[int, int], ...]
    skip: int


def lane_specs(split: str, layout: SplitLayout, blocks: Sequence[tuple[int, int, int]]) -> list[LaneSpec]:
    """Divides a split among the lanes.

    Args:
        split: Name of the split.
        layout: How its stream is cut.
        blocks: (start byte, stop byte, tokens) of consecutive pieces of its text.
    """
    firsts = np.concatenate([[0], np.cumsum([tokens for _, _, tokens in blocks])])
    specs = []
    for lane in range(layout.lanes):
        start, last = layout.lane_range(lane)
        stop = last + 1  # the target of the lane's last prediction
        first_block = min(int(np.searchsorted(firsts, start, "right")) - 1, len(blocks) - 1)
        stop_block = int(np.searchsorted(firsts, stop, "left"))
        specs.append(
            LaneSpec(
                split=split,
                lane=lane,
                tokens=stop - start,
                blocks=tuple((begin, end) for begin, end, _ in blocks[first_block:stop_block]),
                skip=int(start - firsts[first_block]),
            )
        )
    return specs
