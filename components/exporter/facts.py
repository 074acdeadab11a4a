"""Collects what a model card tells from the artifacts that a model is exported from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.exporter.card import Facts
from components.exporter.signatures import signature_defs
from components.tasks.files import ARCHITECTURE
from components.tasks.task import TaskModel
from components.transform.graph import TARGET
from components.transform.manifest import FILE_NAME as MANIFEST
from components.transform.tokenizers import SETTINGS, load
from pipeline.files import digest_folder, read_execution


def gather(name: str, model: TaskModel, inputs: Mapping[str, Path], saved_model: Path) -> Facts:
    """Reads the facts; what an artifact does not hold is left out.

    Args:
        name: What the model is served as.
        model: The model.
        inputs: Of the Exporter.
        saved_model: What was exported, for its signatures.
    """
    architecture = _read_json(inputs["model"] / ARCHITECTURE)
    return Facts(
        name=name,
        task=architecture.pop("task", model.task),
        parameters=model.count_params(),
        architecture=architecture,
        tokenizers=_tokenizers(inputs["transform_graph"]),
        executions={key: record for key, path in inputs.items() if (record := read_execution(path)) is not None},
        digests={key: digest_folder(path) for key, path in inputs.items()},
        training=_read_json(inputs["model"] / "training.json"),
        splits=_read_json(inputs["transformed_examples"] / MANIFEST).get("splits", {}),
        documents={
            file.parent.name.removeprefix("Split-"): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(inputs["examples"].glob("Split-*/digests.npy"))
        },
        metrics=_read_json(inputs["evaluation"] / "metrics.json"),
        signatures={key: _signature(definition) for key, definition in signature_defs(saved_model).items()},
    )


def _tokenizers(graph: Path) -> dict[str, dict[str, Any]]:
    folders = {"text": graph, "target": graph / TARGET}
    return {
        feature: {**_read_json(folder / SETTINGS), "vocabulary": f"{len(load(folder)):,} tokens"}
        for feature, folder in folders.items()
        if (folder / SETTINGS).is_file()
    }


def _signature(definition: Any) -> tuple[dict[str, str], dict[str, str]]:
    inputs = {name: _tensor(info) for name, info in sorted(definition.inputs.items())}
    for name, default in definition.defaults.items():
        inputs[name] += f" = {tf.make_ndarray(default).item():g}"
    return inputs, {name: _tensor(info) for name, info in sorted(definition.outputs.items())}


def _tensor(info: Any) -> str:
    """Type and shape: `int32 [batch, any]`."""
    sizes = [dimension.size for dimension in info.tensor_shape.dim]
    shape = [("any" if axis else "batch") if size < 0 else str(size) for axis, size in enumerate(sizes)]
    rank = "[…]" if info.tensor_shape.unknown_rank else f"[{', '.join(shape)}]"
    return f"{tf.dtypes.as_dtype(info.dtype).name} {rank}"


def _read_json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text("utf-8")) if file.is_file() else {}
