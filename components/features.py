"""Which features the documents of a corpus have: `features.json` of an Examples artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FEATURES = "features.json"
# What a document may have, and of which kind each is.
KINDS = {"text": "text", "label": "class", "tags": "classes", "target": "text", "value": "number", "array": "array"}


@dataclass(frozen=True)
class Feature:
    """What every document of a corpus has.

    Attributes:
        kind: `text`, `class`, `classes`, `number` or `array`.
        dtype: NumPy's name of an array's numbers.
        shape: Of a document's array; None where it varies, which only the first dimension may.
    """

    kind: str
    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None


def read_features(examples: Path) -> dict[str, Feature]:
    """Feature name → what it is, of an Examples artifact; one that does not say so has text."""
    path = examples / FEATURES
    if not path.exists():
        return {"text": Feature("text")}
    found = json.loads(path.read_text("utf-8"))
    return {
        name: Feature(values["kind"], values.get("dtype"), tuple(values["shape"]) if "shape" in values else None)
        for name, values in found.items()
    }


def write_features(examples: Path, features: Mapping[str, Feature]) -> None:
    """Says which features the documents of an Examples artifact have."""
    known = {
        name: {key: value for key, value in vars(feature).items() if value is not None}
        for name, feature in features.items()
    }
    (examples / FEATURES).write_text(json.dumps(known, indent=2) + "\n", "utf-8")
