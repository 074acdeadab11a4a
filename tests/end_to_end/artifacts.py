"""What the outputs of two runs have in common: their content, without times, process ids and fingerprints."""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# Drawn of history.jsonl with the times in it; protocol buffers with maps, which have no order; times and memory. The
# variables of a SavedModel are compared as tensors.
_NOT_BY_BYTES = (
    "tensorboard/*", "training.html", "tf_serving_warmup_requests", "fingerprint.pb", "saved_model.pb", "variables/*",
    "measured.json",
)  # fmt: skip
# Lines of a model card: how long it took; an artifact, the execution that made it, and its fingerprint.
_OF_THE_RUN = re.compile(r" Time: |^\| `\w+` \| [a-z_]+ \| \d+ \| `")
# Keys of JSON that say when, how fast, or (of a push) are digests of files with such in them.
_TIMES = re.compile(r"(^|_)(seconds|second|time|ms|resumed|fingerprint|started|execution)(_|$)|^(digest|model)$")


def contents(summary: dict[str, Any]) -> dict[str, Any]:
    """Output key and file → what is in it: tensors as arrays, JSON without times, anything else as bytes."""
    found: dict[str, Any] = {}
    for stage in summary["stages"]:
        for key, folder in stage["outputs"].items():
            for file in sorted(Path(folder).rglob("*")):
                name = file.relative_to(folder).as_posix()
                if file.is_file() and not any(Path(name).match(pattern) for pattern in _NOT_BY_BYTES):
                    found[f"{key}/{name}"] = content(file)
            if (Path(folder) / "saved_model.pb").is_file():
                found |= {f"{key}:{name}": value for name, value in tensors(Path(folder)).items()}
    found |= {f"served:{name}": value for name, value in tensors(Path(summary["pushed_model"])).items()}
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what is in one and not in the other, or differs in a bit."""
    return [name for name in sorted({*one, *other}) if not _equal(one.get(name), other.get(name))]


def content(file: Path) -> Any:
    if file.suffix in (".json", ".jsonl"):
        text = file.read_text("utf-8")
        return [_without_times(json.loads(line)) for line in (text.splitlines() if file.suffix == ".jsonl" else [text])]
    if file.name == "MODEL_CARD.md":  # all of it but how long it took, and the executions with their fingerprints
        return [line for line in file.read_text("utf-8").splitlines() if not _OF_THE_RUN.search(line)]
    if file.suffix == ".h5":
        arrays: dict[str, np.ndarray] = {}
        with h5py.File(file) as stored:
            stored.visititems(lambda name, item: arrays.update({name: item[()]} if hasattr(item, "dtype") else {}))
        return arrays
    return file.read_bytes()


def tensors(saved_model: Path) -> dict[str, np.ndarray]:
    """The variables of a SavedModel."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    names = reader.get_variable_to_shape_map()
    return {name: np.asarray(reader.get_tensor(name)) for name in names if name != "_CHECKPOINTABLE_OBJECT_GRAPH"}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if not _TIMES.search(key)}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and bool(repr(one) == repr(other))  # repr: NaN equals itself
