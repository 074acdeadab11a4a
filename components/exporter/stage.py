"""The Exporter stage: traces the model in a child process on TensorFlow, whatever backend trained it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components.child_process import run_module
from pipeline.artifacts import (
    Artifact,
    Examples,
    ExportedModel,
    Model,
    ModelEvaluation,
    TransformedExamples,
    TransformGraph,
)
from pipeline.config import PipelineConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Exporter(Stage):
    """Writes the model as a SavedModel: a language model generates and scores, others have their task's signature.

    Model and transform graph are what is served; the model card tells of the others.
    """

    pipeline: PipelineConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "examples": Examples,
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
        "model": Model,
        "evaluation": ModelEvaluation,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"exported_model": ExportedModel}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        folders = json.dumps({key: str(path) for key, path in inputs.items()})
        run_module("components.exporter.export", self.pipeline.name, str(outputs["exported_model"]), folders)
