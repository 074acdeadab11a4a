"""The signatures of a SavedModel as they are saved: with types, shapes and defaults, and nothing loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

# TensorFlow's own, for loading and saving.
_HIDDEN = ("__saved_model_init_op", "__saved_model_train_op")


def signature_defs(saved_model: Path) -> dict[str, Any]:
    """The `SignatureDef` of each signature, by its name."""
    saved = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    found = saved.meta_graphs[0].signature_def
    return {name: found[name] for name in sorted(found) if name not in _HIDDEN}
