"""What a model of examples is trained and evaluated on, from what Transform wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras import ops

from components.tasks.example_task import ExampleInputs, ExampleModel, Spec
from components.trainer.backend import compile_inference
from components.trainer.steps import BatchSteps, Steps
from components.transform.examples import ExampleBatch, Examples
from components.transform.moments import Moments
from pipeline.trainer_config import EXAMPLES_IN_A_BATCH, TrainerConfig


class TaskSteps(BatchSteps):
    """Examples for a model of a task.

    Args:
        examples: Of the train split.
        names: Features that the model reads and learns.
        batch_size, seed: As in `BatchSteps`.
    """

    def __init__(self, examples: Examples, names: list[str], batch_size: int, seed: int) -> None:
        super().__init__(examples, names, batch_size, seed, max(int(examples.lengths(name).max()) for name in names))

    def window(self, batch: ExampleBatch) -> ExampleInputs:
        return ExampleInputs.of(batch)


@dataclass(frozen=True)
class ExampleData:
    """What is trained and evaluated on.

    Attributes:
        train: Steps over the train split.
        held_out: The eval split.
        names: Features that the model reads and learns.
        spec: Of the data.
    """

    train: Steps
    held_out: Examples
    names: list[str]
    spec: Spec

    @classmethod
    def read(cls, graph: Path, examples: Path, model: type[ExampleModel], config: TrainerConfig) -> ExampleData:
        """Opens the examples of a folder.

        Args:
            graph: A `TransformGraph`.
            examples: `TransformedExamples` of it.
            model: What is to be trained.
            config: How the train split is divided into steps.
        """
        split = Examples(examples, "train")
        spec = dataclasses.replace(Spec.read(graph), **_measured(split))
        names = model.names_in(list(spec.features))
        train = TaskSteps(split, names, config.batch_size or EXAMPLES_IN_A_BATCH, config.seed)
        return cls(train, Examples(examples, "eval"), names, spec)

    def objective(self, model: ExampleModel) -> ExampleObjective:
        """Judges `model` on this data."""
        return ExampleObjective(model, self)


def _measured(train: Examples) -> dict[str, Any]:
    """What a `Spec` has of the train split besides what Transform wrote."""
    longest = {name: int(train.lengths(name).max()) for name in train.features}
    if "value" not in train.features:
        return {"longest": longest}
    moments = Moments.of(train.scalars("value")[:, None])
    return {"longest": longest, "value_mean": float(moments.mean[0]), "value_std": float(moments.std[0])}


class ExampleObjective:
    """Judges a model of examples by its loss: see `components.trainer.objective.Objective`."""

    goal = "loss"
    measure = None  # the diagnostics are of states that are carried

    def __init__(self, model: ExampleModel, data: ExampleData) -> None:
        self._data = data

        def loss(batch: ExampleInputs) -> tuple[Any, Any]:
            total, count, *_ = model.loss_of(batch, training=False)
            return total, count

        self._loss = compile_inference(model, loss)

    def figures(self, loss: float) -> dict[str, float]:
        return {"loss": loss}

    def evaluate(self) -> Mapping[str, float]:
        total = count = 0.0
        for batch in self._data.held_out.in_order(self._data.train.batch_size, features=self._data.names):
            sums = self._loss(ExampleInputs.of(batch))
            total, count = (
                before + float(ops.convert_to_numpy(new)) for before, new in zip((total, count), sums, strict=True)
            )
        if not count:
            raise ValueError(
                "Trainer: the eval split must hold something to predict. Received: examples without any. To forecast, "
                "a series needs two rows."
            )
        return {"loss": total / count, "count": int(count)}

    def describe(self, metrics: Mapping[str, float]) -> str:
        return f"loss {metrics['loss']:.4f}"

    def sample(self, epoch: int) -> str:
        return ""
