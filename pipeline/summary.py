"""What a run did, stage by stage, and the JSON object that says so."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class StageResult:
    """What a run did with one stage.

    Attributes:
        name: Its name.
        status: `running` (only while it does), then `ran`, `cached`, `failed` or `skipped`.
        seconds: How long that took.
        outputs: Output key → folder.
        execution_id: The execution whose outputs these are.
        reason: Why it runs, or ran; empty if it did not.
    """

    name: str
    status: str
    seconds: float = 0.0
    outputs: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    execution_id: int | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """What a run did.

    Attributes:
        status: `succeeded`, `failed` or `not_blessed`.
        run_id: Its id in the lineage store.
        root: The root folder.
        stages: One result for each stage, in order.
        reasons: Why the model was not blessed.
        exception: What made a stage fail.
        log: What that stage said until then.
        report: The page that tells all this.
    """

    status: str
    run_id: int
    root: Path
    stages: tuple[StageResult, ...]
    reasons: tuple[str, ...] = ()
    exception: Exception | None = None
    log: Path | None = None
    report: Path | None = None

    def output(self, key: str, file: str = "") -> Path | None:
        """Returns the folder of an output, or a file in it; None when the run has none."""
        for stage in self.stages:
            if key in stage.outputs and (stage.outputs[key] / file).exists():
                return stage.outputs[key] / file
        return None

    def metrics(self) -> dict[str, Any]:
        """Returns split → metrics, as the Evaluator wrote them."""
        content = _read_json(self.output("evaluation", "metrics.json"))
        return {split: values for split, values in content.items() if isinstance(values, dict)}

    def pushed_model(self) -> str | None:
        """Returns the version folder (or its URL) that the run pushed, or found pushed, or None."""
        destination = _read_json(self.output("pushed_model", "pushed.json")).get("destination")
        return destination if destination is None or "://" in destination else str(self.root / destination)

    def to_json(self) -> dict[str, Any]:
        """Returns the object that `--json` prints."""
        values: dict[str, Any] = {
            "status": self.status,
            "run_id": self.run_id,
            "stages": [_stage_json(stage) for stage in self.stages],
            "metrics": self.metrics(),
            "pushed_model": self.pushed_model(),
            "report": None if self.report is None else str(self.report),
        }
        if self.status == "not_blessed":
            values["reasons"] = list(self.reasons)
        if self.exception is not None:
            values["error"] = str(self.exception) or type(self.exception).__name__
            values["log"] = None if self.log is None else str(self.log)
        return values


def report_of(root: Path, run_id: int) -> Path:
    """Where the report of a run is, or would be."""
    return root / "reports" / str(run_id) / "report.html"


def _stage_json(stage: StageResult) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": stage.name,
        "status": stage.status,
        "seconds": round(stage.seconds, 3),
        "outputs": {key: str(path) for key, path in stage.outputs.items()},
    }
    if stage.name == "trainer":
        # What stands in for a new training was not resumed now.
        training = _read_json(stage.outputs["model"] / "training.json") if stage.status == "ran" else {}
        values["resumed_from_step"] = training.get("resumed_from_step")
    return values


def _read_json(path: Path | None) -> dict[str, Any]:
    """Reads a JSON object; {} when there is none. NaN and infinities, which are no JSON, become null."""
    if path is None or not path.is_file():
        return {}
    content = json.loads(path.read_text("utf-8"), parse_constant=lambda _: None)
    return content if isinstance(content, dict) else {}
