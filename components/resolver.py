"""Finds the latest blessed model of a root: what the Evaluator compares with, and the Trainer may begin from.

As TFX's Resolver with the LatestBlessedModelStrategy, but read from what executions record of themselves.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.push_history import withdrawn_models
from pipeline.files import EXECUTION, digest_folder


@dataclass(frozen=True)
class BlessedModel:
    """A trained model that an Evaluator blessed.

    Attributes:
        name: The execution that trained it, for people: `trainer 12`.
        digest: Of the artifact.
        model: Its folder.
        transform_graph: The vocabulary that belongs to it.
        blessing: What blessed it.
    """

    name: str
    digest: str
    model: Path
    transform_graph: Path
    blessing: Path


def latest_blessed_model(root: Path, but: str | None = None) -> BlessedModel | None:
    """The model of the newest blessing, if its folders are still there, byte for byte; else that of the one before.

    A model that was rolled back from does not count: who withdrew it does not want the next one measured by it.

    Args:
        root: Of the pipeline.
        but: Digest of a model that is not meant: one that is judged is not held against itself.
    """
    withdrawn = withdrawn_models(root)
    for folder, record in _executions(root, "evaluator"):
        blessing, digest = folder / "blessing", record["inputs"].get("model")
        if digest in (None, but) or digest in withdrawn:
            continue
        if not (blessing / "BLESSED").is_file() or (blessing / "NOT_BLESSED").exists():
            continue
        model = _artifact(root, "trainer", "model", digest)
        graph = _artifact(root, "transform", "transform_graph", record["inputs"].get("transform_graph"))
        if model is not None and graph is not None:
            return BlessedModel(f"trainer {model.parent.name}", digest, model, graph, blessing)
    return None


def _executions(root: Path, stage: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The executions of a stage and what they recorded, newest first."""
    folders = [path for path in (root / stage).glob("*") if path.name.isdecimal() and (path / EXECUTION).is_file()]
    for folder in sorted(folders, key=lambda path: int(path.name), reverse=True):
        yield folder, json.loads((folder / EXECUTION).read_text("utf-8"))


def _artifact(root: Path, stage: str, key: str, digest: str | None) -> Path | None:
    for folder, record in _executions(root, stage):
        if record["outputs"].get(key) == digest and (folder / key).is_dir() and digest_folder(folder / key) == digest:
            return folder / key
    return None
