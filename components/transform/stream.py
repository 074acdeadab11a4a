"""The token stream of a split, however its records are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.transform.examples import ExampleReader, example_stream
from components.transform.manifest import Manifest
from components.transform.reader import LaneReader


def read_stream(folder: Path, split: str, end: int) -> np.ndarray:
    """Reads `<end> c1 … cn <end> … <end>`: all documents of a split, integers [tokens].

    Args:
        folder: The transformed examples.
        split: Name of the split.
        end: Id of `<end>`.
    """
    if Manifest.load(folder).records == "examples":
        return example_stream(ExampleReader(folder, split), end)
    return LaneReader(folder, split, end).stream()
