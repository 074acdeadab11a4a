"""Documents with every feature, and their transformation."""

from pathlib import Path
from typing import Any

from tests.components.transform.reference import Transformed, run_transform, write_features

SMALL = 24  # bytes of a shard
FEATURES: dict[str, Any] = {
    "text": {"kind": "text"},
    "label": {"kind": "class"},
    "tags": {"kind": "classes"},
    "target": {"kind": "text"},
    "value": {"kind": "number"},
    "array": {"kind": "array", "dtype": "float32", "shape": [None, 2]},
}
TRAIN: list[dict[str, Any]] = [
    {
        "text": "a big cab",
        "label": "up",
        "tags": ["D", "J", "N"],
        "target": "ein taxi",
        "value": 1.5,
        "array": [[1, 9]],
    },
    {"text": "", "label": "down", "tags": [], "target": "", "value": -2, "array": []},
    {"text": "é cab", "label": "up", "tags": ["D", "N"], "target": "das taxi", "value": 0, "array": [[3, 9], [8, 9]]},
    {"text": "bé", "label": "é", "tags": ["N"], "target": "ein bé", "value": 3.25, "array": [[-2, 9], [0, 9], [5, 9]]},
]
EVAL = [{"text": "xa b", "label": "up", "tags": ["N", "N"], "target": "ein z", "value": 7, "array": [[100, 100]]}]
SPLITS = {"train": TRAIN, "eval": EVAL}


def transform(folder: Path, features: dict[str, Any] = FEATURES, splits: Any = None, **settings: Any) -> Transformed:
    folder.mkdir(exist_ok=True)
    examples = write_features(folder / "examples", features, SPLITS if splits is None else splits)
    return run_transform(examples, folder, **{"records": "examples"} | settings)
