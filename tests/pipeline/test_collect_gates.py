"""Garbage collection keeps what the Evaluator and the Pusher decide by."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from components.push_history import Push, withdrawn_models
from components.resolver import latest_blessed_model
from pipeline import artifacts, runner
from pipeline.collect import collect
from pipeline.config import TrainerConfig
from pipeline.stage import Stage
from tests.pipeline import fakes


@dataclasses.dataclass(frozen=True)
class Transform(Stage):
    """A vocabulary."""

    outputs: ClassVar = {"transform_graph": artifacts.TransformGraph}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["transform_graph"] / "vocabulary.tsv").write_text("abc")


@dataclasses.dataclass(frozen=True)
class Trainer(Stage):
    """A model of its seed."""

    trainer: TrainerConfig
    inputs: ClassVar = {"transform_graph": artifacts.TransformGraph}
    outputs: ClassVar = {"model": artifacts.Model}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["model"] / "weights").write_text(str(self.trainer.seed))


@dataclasses.dataclass(frozen=True)
class Evaluator(Stage):
    """Blesses seeds below 3."""

    inputs: ClassVar = {"model": artifacts.Model, "transform_graph": artifacts.TransformGraph}
    outputs: ClassVar = {"blessing": artifacts.ModelBlessing}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        seed = int((inputs["model"] / "weights").read_text())
        (outputs["blessing"] / ("BLESSED" if seed < 3 else "NOT_BLESSED")).touch()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """transform 1; trainer and evaluator 2 and 3, … 12 and 13, of the seeds 0 to 5."""
    for seed in range(6):
        runner.run((Transform, Trainer, Evaluator), fakes.config(seed=seed), tmp_path)
    return tmp_path


def folders(root: Path) -> set[int]:
    return {int(file.parent.name) for file in root.glob("*/*/execution.json")}


def test_collect_keeps_the_last_blessed_model_and_the_one_before(root: Path) -> None:
    blessed = latest_blessed_model(root)
    collect(root, keep=1, delete=True)
    assert folders(root) == {1, 12, 13, 6, 7, 4, 5}
    assert latest_blessed_model(root) == blessed
    assert blessed is not None
    assert (blessed.model / "weights").read_text() == "2"


def test_collect_keeps_the_records_of_the_pusher(root: Path) -> None:
    for number, withdrawn in ((20, None), (21, "model"), (22, None)):
        folder = root / "pusher" / str(number) / "pushed_model"
        folder.mkdir(parents=True)
        Push(f"serving/x/{number}", number, "bytes", f"model {number}", withdrawn).save(folder)
    collect(root, keep=1, delete=True)
    assert set(withdrawn_models(root)) == {"model"}
