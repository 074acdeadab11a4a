"""Finds the latest blessed model of a root: what the Evaluator compares with, and the Trainer may begin from.

As TFX's Resolver with the LatestBlessedModelStrategy, but read from what executions record of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.push_history import model_identity, withdrawn_models
from pipeline.files import digest_folder, executions


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
    for folder, record in executions(root, "evaluator"):
        blessing, digest = folder / "blessing", record["inputs"].get("model")
        if digest in (None, but) or (withdrawn and model_identity(digest, root) in withdrawn):
            continue
        if not (blessing / "BLESSED").is_file() or (blessing / "NOT_BLESSED").exists():
            continue
        model = _artifact(root, "trainer", "model", digest)
        graph = _artifact(root, "transform", "transform_graph", record["inputs"].get("transform_graph"))
        if model is not None and graph is not None:
            return BlessedModel(f"trainer {model.parent.name}", digest, model, graph, blessing)
    return None


def _artifact(root: Path, stage: str, key: str, digest: str | None) -> Path | None:
    for folder, record in executions(root, stage):
        if record["outputs"].get(key) == digest and (folder / key).is_dir() and digest_folder(folder / key) == digest:
            return folder / key
    return None
