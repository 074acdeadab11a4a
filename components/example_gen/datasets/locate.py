"""Where the corpus of a configuration is: in the source that it names, or, for a data set, in a folder or in TFDS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from components.example_gen.datasets.registry import find
from pipeline.config import ExampleGenConfig

# Comes before `example_gen.data_root`.
ROOT_VARIABLE = "RNN_PIPELINE_DATA_ROOT"


class Located(NamedTuple):
    """What is read.

    Attributes:
        kind: The part of a source before its first colon.
        name: The part after it.
        folder: Of a data set's files.
        missing: For a set of TFDS in place of a data set: which folder is not there.
    """

    kind: str
    name: str
    folder: Path = Path()
    missing: str = ""


def locate(config: ExampleGenConfig) -> Located:
    """Finds a data set's folder, or says to read it from TFDS; every other source is as it is.

    Raises:
        ValueError: There is no such data set, or neither its folder nor a TFDS set.
    """
    kind, _, name = config.source.partition(":")
    if kind != "dataset":
        return Located(kind, name)
    data_set = find(name)
    if data_set.folder is None:
        return Located(kind, name)
    given = os.environ.get(ROOT_VARIABLE) or config.data_root
    folder = None if given is None else Path(given).expanduser() / data_set.folder
    if folder is not None and folder.is_dir():
        return Located(kind, name, folder)
    missing = f"no folder {folder}" if folder is not None else f"no data root in which {data_set.folder!r} would be"
    if config.tfds is not None:
        return Located("tfds", config.tfds, missing=missing)
    raise ValueError(
        f"ExampleGen: the files of a data set must be there. Received: source={config.source!r}, {missing}, and "
        f"example_gen.tfds=None. Set example_gen.data_root, or the environment variable {ROOT_VARIABLE}, which comes "
        f"before it, to the folder above {data_set.folder!r} (docs/datasets.md says which files it has), or name a "
        "data set of TFDS as example_gen.tfds."
    )
