"""Reads lanes: the step a cursor points at, or a whole stream. NumPy only, so that every backend can use it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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
        (window,) = self._read(step, step + 1)
        return window

    def _read(self, first: int, stop: int) -> list[Window]:
        """Reads steps of one group."""
        group = int(np.searchsorted(self._group_starts, first, "right")) - 1
        start, stop = first - int(self._group_starts[group]), stop - int(self._group_starts[group])
        rows = slice(group * self.batch_size, (group + 1) * self.batch_size)
        stored = np.stack([lane[start:stop] for lane in self._lanes[rows]], axis=1)
        tokens = stored.astype(np.int32)  # [steps, batch, window_length + 1]
        length = self.layout.window_length
        positions = np.arange(start * length, stop * length).reshape(-1, 1, length)
        inputs, targets = tokens[:, :, :-1], tokens[:, :, 1:]
        weights = (positions < self._lengths[rows, None]).astype(np.float32)
        return [Window(*arrays) for arrays in zip(inputs, targets, inputs == self.end, weights, strict=True)]

    def groups(self, first: int = 0) -> Iterator[Group]:
        """Yields what the steps from `first` on read, for those who read the files themselves."""
        for group, (start, stop) in enumerate(itertools.pairwise(self._group_starts.tolist())):
            if first < stop:
                rows = slice(group * self.batch_size, (group + 1) * self.batch_size)
                yield Group(self._paths[rows], self._lengths[rows], max(first - start, 0), stop - start)

    def windows(self, first: int = 0) -> Iterator[Window]:
        """Yields the steps from `first` on; the next ones are read while the last are used."""
        borders = sorted({*range(first, self.steps, _STEPS_AT_ONCE), *self._group_starts.tolist()})
        pieces = list(itertools.pairwise(border for border in borders if border >= first))
        with ThreadPoolExecutor(1, "lanes") as background:
            coming: Future[list[Window]] | None = None
            for piece in [*pieces, None]:
                ready, coming = coming, background.submit(self._read, *piece) if piece else None
                if ready is not None:
                    yield from ready.result()

    def stream(self) -> np.ndarray:
        """The whole token stream of the split, in its stored type [tokens]."""
        pieces = [concatenate(lane, int(n)) for lane, n in zip(self._lanes, self._lengths, strict=True)]
        # The last target of a lane is the first input of the next.
        return np.concatenate([piece[:-1] for piece in pieces] + [pieces[-1][-1:]])
