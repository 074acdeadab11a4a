"""The token stream of a split, however its records are stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.transform.examples import ExampleReader
from components.transform.manifest import Manifest
from components.transform.reader import LaneReader


def read_stream(folder: Path, split: str, end: int) -> np.ndarray:
    """Reads `<end> c1 … cn <end> … <end>`: all documents of a split, integers [tokens].

    Args:
        folder: The transformed examples.
        split: Name of the split.
        end: Id of `<end>`.
    """
    if Manifest.load(folder).records == "lanes":
        return LaneReader(folder, split, end).stream()
    reader = ExampleReader(folder, split)
    pieces = [np.asarray([end], np.int32)]
    for example in range(len(reader)):
        pieces += [reader.read(example).astype(np.int32), pieces[0]]
    return np.concatenate(pieces)
