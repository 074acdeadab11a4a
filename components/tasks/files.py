"""A model on disk: its architecture as JSON and its weights, which either backend reads."""

from __future__ import annotations

import json
from pathlib import Path

from components.tasks.catalogue import model_class
from components.tasks.language_model import LanguageModel
from components.tasks.task import TaskModel

ARCHITECTURE = "model.json"
WEIGHTS = "model.weights.h5"


def save(model: TaskModel, folder: Path) -> None:
    """Writes architecture and weights. What only training needs is not kept."""
    architecture = {"task": model.task, **model.architecture()}
    (folder / ARCHITECTURE).write_text(json.dumps(architecture, indent=1) + "\n", encoding="utf-8")
    model.save_weights(folder / WEIGHTS)


def load(folder: Path) -> TaskModel:
    """Rebuilds what `save` wrote, in float32 and without dropout. A key that is missing has its default.

    Raises:
        ValueError: The folder holds no model.
    """
    try:
        architecture = json.loads((folder / ARCHITECTURE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Model: a folder must hold a readable {ARCHITECTURE}. Received: {folder} ({error}). "
            "Run the trainer stage again."
        ) from error
    model = model_class(architecture.pop("task", LanguageModel.task))(**architecture)
    try:
        model.load_weights(folder / WEIGHTS)
    except OSError as error:
        raise ValueError(
            f"Model: a folder must hold readable weights. Received: {folder / WEIGHTS} ({error}). "
            "Run the trainer stage again."
        ) from error
    return model
