"""The files of a TransformGraph besides the tokenizers: class names, and what arrays are standardised with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from components.transform.manifest import FeatureInfo, from_json, to_json

TARGET, SCALING, FEATURES = "target", "array.json", "features.json"  # the folder of the second tokenizer; two files


def save_features(graph: Path, features: Mapping[str, FeatureInfo]) -> None:
    """Writes which features examples have, and how each is stored."""
    (graph / FEATURES).write_text(json.dumps(to_json(features), indent=1) + "\n", encoding="utf-8")


def load_features(graph: Path) -> dict[str, FeatureInfo]:
    """Reads which features examples have, by name.

    Raises:
        ValueError: The graph is one of lanes.
    """
    path = graph / FEATURES
    if not path.exists():
        raise ValueError(
            f"TransformGraph: it must be one of examples. Received: a graph without {path}. Set "
            "transform.records=examples and run the pipeline again."
        )
    return from_json(json.loads(path.read_text("utf-8")))


def classes_file(graph: Path, feature: str) -> Path:
    """Where the names of a feature's classes are."""
    return graph / f"{feature}.txt"


def save_classes(graph: Path, feature: str, names: Sequence[str]) -> None:
    """Writes the names of a feature's classes, one a line, by id. None of them holds a line feed."""
    classes_file(graph, feature).write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")


def load_classes(graph: Path, feature: Literal["label", "tags"]) -> list[str]:
    """Reads the names of a feature's classes, by id.

    Args:
        graph: A `TransformGraph`.
        feature: `label` or `tags`.

    Raises:
        ValueError: The graph has none.
    """
    path = classes_file(graph, feature)
    if not path.exists():
        raise _lacking(feature, path)
    return path.read_bytes().decode("utf-8").split("\n")[:-1]


def save_scaling(graph: Path, mean: np.ndarray, std: np.ndarray) -> None:
    """Writes mean and standard deviation of the train split's numbers, float64 [features] or [1]."""
    content = {"mean": mean.tolist(), "std": std.tolist()}
    (graph / SCALING).write_text(json.dumps(content) + "\n", encoding="utf-8")


def load_scaling(graph: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads what arrays are standardised with: (x - mean) / std.

    Args:
        graph: A `TransformGraph`.

    Returns:
        Mean and standard deviation, float64 [features] for a series, [1] for images and frames: they broadcast along
        the last axis.

    Raises:
        ValueError: The graph has none.
    """
    path = graph / SCALING
    if not path.exists():
        raise _lacking("array", path)
    content = json.loads(path.read_text("utf-8"))
    return np.asarray(content["mean"], np.float64), np.asarray(content["std"], np.float64)


def _lacking(feature: str, path: Path) -> ValueError:
    return ValueError(
        f"TransformGraph: the documents must have the feature {feature}. Received: a graph without {path}. Give every "
        f"document {feature}, set transform.records=examples and run the pipeline again."
    )
