"""Gesture phase segmentation (Madeo, Wagner and Peres 2014): what the hands do in each frame of a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, numbers, table
from components.example_gen.parsed import BadRecord, Event, RecordError

# Where left and right hand, head, spine, and left and right wrist are.
_JOINTS = tuple(f"{joint}{axis}" for joint in ("lh", "rh", "h", "s", "lw", "rw") for axis in "xyz")
_PHASES = ("Rest", "Preparation", "Stroke", "Hold", "Retraction")
_PORTUGUESE = {"Preparação": "Preparation"}  # one frame of b1 was left in the authors' language
_FRAMES = 100


def parse(path: Path) -> Iterator[Event]:
    """A row is a frame: 18 coordinates of joints, and the phase, its tag; the time of the frame is left out.

    Each coordinate is standardised with its own mean and standard deviation over the video: the camera stood elsewhere
    in each, and `b3` was written in another unit. A video is cut into documents of 100 frames that follow each other,
    `VIDEO:FIRST FRAME`, the last one shorter. A bad row is missing from its document.
    """
    video = path.name.partition("_")[0]
    rows, tags, lines = list[np.ndarray](), list[str](), list[Line]()
    for found in table(path, (*_JOINTS, "phase"), ","):
        if isinstance(found, BadRecord):
            yield found
            continue
        line, values = found
        phase = _PORTUGUESE.get(values["phase"], values["phase"])
        try:
            if phase not in _PHASES:
                raise RecordError(f"a phase must be one of {', '.join(_PHASES)}", repr(phase), "Correct the row")
            row = numbers([values[joint] for joint in _JOINTS], len(_JOINTS))
        except RecordError as error:
            yield line.bad(error)
            continue
        rows.append(row)
        tags.append(phase)
        lines.append(line)
    if not rows:
        return
    coordinates = np.stack(rows).astype(np.float64)
    scale = coordinates.std(axis=0)
    coordinates = (coordinates - coordinates.mean(axis=0)) / np.where(scale > 0, scale, 1)
    for first in range(0, len(rows), _FRAMES):
        frames = slice(first, first + _FRAMES)
        yield document(
            f"{video}:{first}",
            first + 1,
            lines[first].offset,
            array=coordinates[frames].astype(np.float32),
            tags=tags[frames],
        )


GESTURE_PHASE = FileSet(
    folder="gesture_phase_users_ab",
    features={"array": Feature("array", "float32", (None, len(_JOINTS))), "tags": Feature("classes")},
    # Whole videos: frames of one that is trained on say too much of those beside them.
    splits={
        "a1_raw.csv.gz": "train",
        "a3_raw.csv.gz": "train",
        "b1_raw.csv.gz": "train",
        "a2_raw.csv.gz": "eval",
        "b3_raw.csv.gz": "test",
    },
    parse=parse,
)
