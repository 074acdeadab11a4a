"""Served models that answer in bulk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from components.tasks import files
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import Spec
from pipeline.config import ModelConfig
from tests.components.exporter import exported
from tests.components.tasks import example_data
from tests.testing import randomise


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model of a few characters."""
    return exported.full(tmp_path_factory.getbasetemp()).saved_model


def of_task(folder: Path, kind: str) -> Path:
    """A model of examples; its weights are random."""
    graph, _ = example_data.write(folder, kind)
    task = EXAMPLE_TASKS[example_data.task_of(kind)]
    spec = Spec.read(graph)
    config = ModelConfig(task=task.task, units=9, layers=1)
    model = task.build_for(config, dataclasses.replace(spec, longest=dict.fromkeys(spec.features, 6)), seed=1)
    randomise(model, seed=3)
    files.save(model, folder)
    saved_model = folder / "saved_model"
    exported.export(folder, graph, saved_model)
    return saved_model
