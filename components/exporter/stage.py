"""The Exporter stage: traces the model in a child process on TensorFlow, whatever backend trained it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components.child_process import run_module
from pipeline.artifacts import Artifact, ExportedModel, Model, TransformGraph
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Exporter(Stage):
    """Writes the model as a SavedModel: a language model generates and scores, others have their task's signature."""

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"model": Model, "transform_graph": TransformGraph}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"exported_model": ExportedModel}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        run_module(
            "components.exporter.export",
            str(inputs["model"]),
            str(inputs["transform_graph"]),
            str(outputs["exported_model"]),
        )
