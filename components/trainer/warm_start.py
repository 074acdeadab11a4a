"""Begins a training with the weights of the last blessed model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.resolver import latest_blessed_model
from components.tasks.files import ARCHITECTURE, load
from components.tasks.task import TaskModel
from components.transform.graph import SCALING

# What follows from the numbers of the train split, and decides nothing about the weights' shapes or order.
_OF_DATA = ("mean", "std", "value_mean", "value_std", "max_length")


def warm_start(model: TaskModel, transform_graph: Path, root: Path) -> str | None:
    """Gives a new model the weights of the last blessed one of the root.

    Args:
        model: As its configuration describes it; changed in place.
        transform_graph: The vocabulary that it is for.
        root: Of the pipeline.

    Returns:
        What that model is called, `trainer 12`; None where no model has been blessed: the training begins anew.

    Raises:
        ValueError: That model is of another architecture or vocabulary.
    """
    before = latest_blessed_model(root)
    if before is None:
        return None
    then = json.loads((before.model / ARCHITECTURE).read_text("utf-8"))
    # As JSON has it: tuples are lists.
    now = json.loads(json.dumps({"task": model.task, **model.architecture()}))
    differences = [
        *(f"{key} is {one!r} there and {other!r} here" for key, one, other in _changed(then, now)),
        *(f"{name} is another" for name in _other_files(before.transform_graph, transform_graph)),
    ]
    if differences:
        raise ValueError(
            "Trainer: a warm start must be from a model of the same architecture and vocabulary. Received: "
            f"{before.name}, the last blessed model: {'; '.join(differences)}. Set trainer.warm_start: false to begin "
            "anew."
        )
    model.set_weights(load(before.model).get_weights())
    return before.name


def _changed(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    for key in sorted({*one, *other} - {*_OF_DATA}):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            yield from _changed(first, second, f"{prefix}{key}.")
        elif first != second:
            yield prefix + key, first, second


def _other_files(one: Path, other: Path) -> list[str]:
    """Names of the files of two vocabularies that are not the same."""
    names = {path.relative_to(graph).as_posix() for graph in (one, other) for path in graph.rglob("*")}
    return sorted(name for name in names - {SCALING} if _bytes(one / name) != _bytes(other / name))


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
