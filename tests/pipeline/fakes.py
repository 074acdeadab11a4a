"""A pipeline of four tiny stages for the runner's tests: each says that it ran, and can be made to misbehave."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from pipeline import artifacts
from pipeline.config import Config, EvaluatorConfig, ExampleGenConfig, TrainerConfig
from pipeline.errors import NotBlessed
from pipeline.stage import Stage

RAN: list[str] = []
HOOKS: dict[str, Callable[[], None]] = {}  # stage → called when it has written its outputs
REFUSALS: list[str] = []  # what the trainer refuses


def config(source: str = "inline:hello", seed: int = 0, upper: float | None = None) -> Config:
    return Config.model_validate(
        {
            "pipeline": {"name": "fake"},
            "example_gen": {"source": source},
            "trainer": {"seed": seed},
            "evaluator": {"thresholds": {"bits_per_char": {"upper": upper}}},
        }
    )


def _done(stage: Stage) -> None:
    RAN.append(stage.stage_name())
    HOOKS.get(stage.stage_name(), lambda: None)()


@dataclasses.dataclass(frozen=True)
class ExampleGen(Stage):
    """Writes the source."""

    example_gen: ExampleGenConfig
    outputs: ClassVar = {"examples": artifacts.Examples}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["examples"] / "documents.txt").write_text(self.example_gen.source)
        _done(self)


@dataclasses.dataclass(frozen=True)
class Trainer(Stage):
    """Writes the source and the seed.

    On the way it leaves a checkpoint, which is forgotten in the end.
    """

    trainer: TrainerConfig
    inputs: ClassVar = {"examples": artifacts.Examples}
    outputs: ClassVar = {"model": artifacts.Model}

    def refusals(self, outputs: Mapping[str, Path], root: Path) -> list[str]:
        assert (outputs["model"] / "model.json").is_file()
        return list(REFUSALS)

    def forget(self, root: Path) -> None:
        shutil.rmtree(root / "checkpoints", ignore_errors=True)

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (root / "checkpoints").mkdir(exist_ok=True)
        (root / "checkpoints" / "step").write_text("1")
        text = (inputs["examples"] / "documents.txt").read_text()
        (outputs["model"] / "model.json").write_text(json.dumps([text, self.trainer.seed]))
        _done(self)


@dataclasses.dataclass(frozen=True)
class Evaluator(Stage):
    """Finds 2 bits per character, always."""

    evaluator: EvaluatorConfig
    inputs: ClassVar = {"model": artifacts.Model}
    outputs: ClassVar = {"evaluation": artifacts.ModelEvaluation, "blessing": artifacts.ModelBlessing}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        upper = self.evaluator.thresholds.bits_per_char.upper
        (outputs["evaluation"] / "metrics.json").write_text('{"eval": {"bits_per_char": 2.0}, "note": "x"}')
        (outputs["evaluation"] / "report.txt").write_text("bits per character: 2.0\n")
        blessed = upper is None or upper >= 2
        (outputs["blessing"] / ("BLESSED" if blessed else "NOT_BLESSED")).write_text("")
        _done(self)


@dataclasses.dataclass(frozen=True)
class Pusher(Stage):
    """Copies the model below the root."""

    inputs: ClassVar = {"model": artifacts.Model, "blessing": artifacts.ModelBlessing}
    outputs: ClassVar = {"pushed_model": artifacts.PushedModel}

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        return (root / json.loads((outputs["pushed_model"] / "pushed.json").read_text())["destination"]).is_dir()

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        if (inputs["blessing"] / "NOT_BLESSED").exists():
            raise NotBlessed(["bits_per_char is 2.0, above 1.0."])
        destination = root / "serving" / "fake" / "1"
        destination.mkdir(parents=True, exist_ok=True)
        shutil.copy(inputs["model"] / "model.json", destination)
        record = {"destination": destination.relative_to(root).as_posix()}
        (outputs["pushed_model"] / "pushed.json").write_text(json.dumps(record))
        _done(self)


STAGES = (ExampleGen, Trainer, Evaluator, Pusher)
NAMES = [stage.stage_name() for stage in STAGES]
