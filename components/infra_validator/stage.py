"""The InfraValidator stage: tries the exported model where it would be served, and writes the blessing."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.child_process import run_module
from components.infra_validator.served import binary, wrong_served
from pipeline.artifacts import Artifact, ExportedModel, InfraBlessing, Model, TransformGraph
from pipeline.config import InfraValidatorConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class InfraValidator(Stage):
    """Tries the exported model with TensorFlow alone, beside the Keras model and in servers; blesses it or not."""

    infra_validator: InfraValidatorConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "model": Model,
        "transform_graph": TransformGraph,
        "exported_model": ExportedModel,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"infra_blessing": InfraBlessing}

    def environment(self, root: Path) -> dict[str, Any]:
        return {"tensorflow_serving": binary() if self.infra_validator.servers else None}

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        """Not after a refusal: what was wrong may have been the machine."""
        return (outputs["infra_blessing"] / "INFRA_BLESSED").is_file()

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        found = self._validate(inputs)
        folder = outputs["infra_blessing"]
        (folder / "sample.txt").write_text(found["sample"], encoding="utf-8")
        measured = {name: found[name] for name in ("latency_ms", "memory_mb")}
        (folder / "measured.json").write_text(json.dumps(measured) + "\n", encoding="utf-8")
        verdict = folder / ("INFRA_NOT_BLESSED" if found["reasons"] else "INFRA_BLESSED")
        verdict.write_text("".join(f"{' '.join(reason.split())}\n" for reason in found["reasons"]), encoding="utf-8")

    def _validate(self, inputs: Mapping[str, Path]) -> dict[str, Any]:
        """What the check found. Whatever goes wrong on the way is a reason: a model that cannot be tried is refused."""
        nothing = {"sample": "", "latency_ms": None, "memory_mb": None}
        timeout = self.infra_validator.timeout_s
        try:
            reference = run_module(
                "components.infra_validator.reference",
                str(inputs["model"]),
                str(inputs["transform_graph"]),
                timeout=timeout,
            )
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "reference.json"
                file.write_text(reference.splitlines()[-1], encoding="utf-8")
                model = str(inputs["exported_model"])
                printed = run_module("components.infra_validator.alone", model, str(file), timeout=timeout)
            found = json.loads(printed.splitlines()[-1])
            reasons = [*found["reasons"], *self._over_budget(found)]
            if self.infra_validator.servers and not reasons:
                reasons += wrong_served(inputs["exported_model"], found["cases"], timeout)
        except (RuntimeError, ValueError, LookupError, TypeError) as error:
            return {**nothing, "reasons": [f"The model could not be tried: {type(error).__name__}: {error}"]}
        return {**nothing, **found, "reasons": reasons}

    def _over_budget(self, found: Mapping[str, Any]) -> list[str]:
        reasons = []
        budgets = (
            ("latency_ms", "A request took {:.4g} ms (the median of a few)"),
            ("memory_mb", "The process that loaded the model and used it took {:.0f} MB"),
        )
        for name, sentence in budgets:
            budget, value = getattr(self.infra_validator, name), found[name]
            if budget is not None and value is not None and not value <= budget:
                reasons.append(f"{sentence.format(value)}, and infra_validator.{name} allows {budget:g}.")
        return reasons
