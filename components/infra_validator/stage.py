"""The InfraValidator stage: runs the check in a child process and writes the blessing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components.child_process import run_module
from pipeline.artifacts import Artifact, ExportedModel, InfraBlessing
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class InfraValidator(Stage):
    """Loads the exported model in a fresh process, uses every signature, and blesses it or not."""

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"exported_model": ExportedModel}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"infra_blessing": InfraBlessing}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        printed = run_module("components.infra_validator.check", str(inputs["exported_model"]))
        found = json.loads(printed.splitlines()[-1])
        folder = outputs["infra_blessing"]
        (folder / "sample.txt").write_text(found["sample"], encoding="utf-8")
        verdict = folder / ("INFRA_NOT_BLESSED" if found["reasons"] else "INFRA_BLESSED")
        verdict.write_text("".join(f"{reason}\n" for reason in found["reasons"]), encoding="utf-8")
