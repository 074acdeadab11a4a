"""Reads lanes: the step a cursor points at, or a whole stream. NumPy only, so that every backend can use it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.transform.lanes import SplitLayout
from components.transform.manifest import Manifest
from components.transform.records import concatenate, lane_file, read_records

# Many enough that the lanes' files are not asked for a few bytes at a time.
_STEPS_AT_ONCE = 16


class Window(NamedTuple):
    """One training step's worth of every lane in a batch.

    Attributes:
        inputs: int32 [batch, window_length].
        targets: int32 [batch, window_length]: the next token of each input.
        reset: bool [batch, window_length]: a document opens here, the state is zeroed before this step.
        weights: float32 [batch, window_length]: 0 where a lane has ended, else 1.
    """

    inputs: np.ndarray
    targets: np.ndarray
    reset: np.ndarray
    weights: np.ndarray


class Span(NamedTuple):
    """One training step's place in the lanes.

    Attributes:
        group: Which lanes are the rows.
        start, stop: Predictions of each lane, from its beginning; after its end there are none (weight 0).
        context: So many positions from `start` on have weight 0: they are only read. Some may lie before the lane's
            beginning, where the state is reset.
    """

    group: int
    start: int
    stop: int
    context: int = 0


class Group(NamedTuple):
    """Lanes that are the rows of a batch, from some window on.

    Attributes:
        paths: File of each lane.
        lengths: Predictions of each lane, int64 [batch].
        start, stop: Windows to read of each.
    """

    paths: list[Path]
    lengths: np.ndarray
    start: int
    stop: int


class LaneReader:
    """The lanes of one split.

    Args:
        folder: The transformed examples.
        split: Name of the split.
        end: Id of `<end>`.
        batch_size: Rows of a step; it divides the number of lanes (the default). With fewer rows than lanes, the lanes
            are read in groups of that many, one group after the other.
    """

    def __init__(self, folder: Path, split: str, end: int, batch_size: int | None = None) -> None:
        manifest = Manifest.load(folder)
        manifest.require("lanes", folder)
        self.layout: SplitLayout = manifest.layout(split)
        self.batch_size = batch_size or self.layout.lanes
        if self.layout.lanes % self.batch_size:
            raise ValueError(
                f"LaneReader: batch_size must divide the number of lanes. Received: batch_size={batch_size} for "
                f"{self.layout.lanes} lanes. Choose a divisor."
            )
        self.end = end
        self._lengths = self.layout.lane_lengths()
        self.dtype = np.dtype(manifest.dtype).newbyteorder("<")
        names = [lane_file(lane, self.layout.lanes) for lane in range(self.layout.lanes)]
        self._paths = [folder / f"Split-{split}" / name for name in names]
        self._lanes = [self._lane(path) for path in self._paths]
        # A group of lanes that are one token shorter may have one window less that holds a token.
        longest = self._lengths.reshape(-1, self.batch_size).max(axis=1)
        self._group_starts = np.concatenate([[0], np.cumsum(-(-longest // self.layout.window_length))])

    def _lane(self, path: Path) -> np.ndarray:
        windows = read_records(path, self.layout.window_length, self.dtype)
        if len(windows) != self.layout.windows:
            raise ValueError(
                f"LaneReader: a lane file must hold {self.layout.windows} windows, as the manifest says. Received: "
                f"{path} with {len(windows)}. It is damaged: run the transform stage again."
            )
        return windows

    @property
    def steps(self) -> int:
        """Steps in one pass over the split."""
        return int(self._group_starts[-1])

    def starts_lanes(self, step: int) -> bool:
        """Whether the rows of this step do not continue those of the step before: states start at zero."""
        return bool(step in self._group_starts)

    def window(self, step: int) -> Window:
        """Reads step `step`, 0 … steps - 1, wherever it is in the split."""
        (window,) = self._read([self._span(step)])
        return window

    def _span(self, step: int) -> Span:
        group = int(np.searchsorted(self._group_starts, step, "right")) - 1
        start = (step - int(self._group_starts[group])) * self.layout.window_length
        return Span(group, start, start + self.layout.window_length)

    @property
    def group_lengths(self) -> list[int]:
        """Predictions of the longest lane of each group."""
        return [int(length) for length in self._lengths.reshape(-1, self.batch_size).max(axis=1)]

    def _read(self, spans: Sequence[Span]) -> list[Window]:
        """Reads spans of one group, whose files are asked once for what lies between the first and the last of them."""
        first, stop = min(span.start for span in spans), max(span.stop for span in spans)
        rows = slice(spans[0].group * self.batch_size, (spans[0].group + 1) * self.batch_size)
        tokens = self._tokens(rows, first, stop + 1)
        windows = []
        for span in spans:
            piece = tokens[:, span.start - first : span.stop - first + 1]
            inputs, positions = piece[:, :-1], np.arange(span.start, span.stop)
            reset = inputs == self.end
            if span.context and span.start <= 0:
                reset[:, : -span.start] = False
                reset[:, -span.start] = True  # what was read before the lane's beginning is nothing
            weights = (span.start + span.context <= positions) & (positions < self._lengths[rows, None])
            windows.append(Window(inputs, piece[:, 1:], reset, weights.astype(np.float32)))
        return windows

    def _tokens(self, rows: slice, start: int, stop: int) -> np.ndarray:
        """Tokens `start` … `stop - 1` of some lanes, zeros where a lane has none: int32 [lanes, stop - start]."""
        length, windows = self.layout.window_length, self.layout.windows
        first, last = max(start, 0) // length, min(-(-stop // length), windows)
        stored = np.stack([lane[first:last] for lane in self._lanes[rows]])  # [lanes, windows, window_length + 1]
        # The last token of a window is the first of the next.
        joined = np.concatenate([stored[:, :, :-1].reshape(len(stored), -1), stored[:, -1, -1:]], axis=1)
        tokens = np.zeros((len(stored), stop - start), np.int32)
        offset = first * length - start
        source, target = joined[:, max(-offset, 0) :], tokens[:, max(offset, 0) :]
        count = min(source.shape[1], target.shape[1])
        target[:, :count] = source[:, :count]
        return tokens

    def groups(self, first: int = 0) -> Iterator[Group]:
        """Yields what the steps from `first` on read, for those who read the files themselves."""
        for group, (start, stop) in enumerate(itertools.pairwise(self._group_starts.tolist())):
            if first < stop:
                rows = slice(group * self.batch_size, (group + 1) * self.batch_size)
                yield Group(self._paths[rows], self._lengths[rows], max(first - start, 0), stop - start)

    def windows(self, first: int = 0) -> Iterator[Window]:
        """Yields the steps from `first` on; the next ones are read while the last are used."""
        return self.spans(self._span(step) for step in range(first, self.steps))

    def spans(self, spans: Iterable[Span]) -> Iterator[Window]:
        """Yields what lies in each of the spans, in their order; the next ones are read while the last are used."""
        pieces = (
            piece
            for _, group in itertools.groupby(spans, lambda span: span.group)
            for piece in batched(group, _STEPS_AT_ONCE)
        )
        with ThreadPoolExecutor(1, "lanes") as background:
            coming: Future[list[Window]] | None = None
            for piece in itertools.chain(pieces, [None]):
                ready, coming = coming, background.submit(self._read, piece) if piece else None
                if ready is not None:
                    yield from ready.result()

    def stream(self) -> np.ndarray:
        """The whole token stream of the split, in its stored type [tokens]."""
        pieces = [concatenate(lane, int(n)) for lane, n in zip(self._lanes, self._lengths, strict=True)]
        # The last target of a lane is the first input of the next.
        return np.concatenate([piece[:-1] for piece in pieces] + [pieces[-1][-1:]])


def batched(items: Iterable[Span], size: int) -> Iterator[list[Span]]:
    """Yields the items in lists of `size`; the last one may be shorter."""
    iterator = iter(items)
    while piece := list(itertools.islice(iterator, size)):
        yield piece
