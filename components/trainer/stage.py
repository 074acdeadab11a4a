"""The Trainer stage."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from components.heavy_imports import import_quietly
from components.workspace import remove
from pipeline.artifacts import Artifact, Model, TransformedExamples, TransformGraph
from pipeline.config import ModelConfig, TrainerConfig
from pipeline.files import digest_folder
from pipeline.stage import Stage

if TYPE_CHECKING:
    from components.tasks.task import TaskModel
    from components.trainer.loop import Outcome
    from components.trainer.objective import Data


@dataclasses.dataclass(frozen=True)
class Trainer(Stage):
    """Trains the network, by truncated BPTT over lanes or on whole examples, and keeps the best weights."""

    model: ModelConfig
    trainer: TrainerConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"model": Model}

    def environment(self, root: Path) -> dict[str, Any]:
        return {"backend": os.environ.get("KERAS_BACKEND", "tensorflow")}

    def workspace(self, root: Path) -> Path:
        """Where checkpoints lie while the training is not done."""
        return root / "checkpoints" / self.stage_name()

    def forget(self, root: Path) -> None:
        from components.trainer.checkpoints import ONE_AT_A_TIME

        remove(self.workspace(root), ONE_AT_A_TIME)

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        outcome = self.train(inputs, outputs["model"], root)
        text = json.dumps(dataclasses.asdict(outcome)) + "\n"
        (outputs["model"] / "training.json").write_text(text, encoding="utf-8")

    def train(
        self,
        inputs: Mapping[str, Path],
        output: Path,
        root: Path,
        on_evaluation: Callable[[int, Mapping[str, float]], None] = lambda epoch, metrics: None,
    ) -> Outcome:
        """Trains on `inputs` into the folder `output`, with the checkpoints in `workspace(root)`; see `loop.train`."""
        # Imported here: Keras and its backend take seconds, and `--help` must not.
        import_quietly("keras")
        from components.tasks import language_model
        from components.tasks.catalogue import EXAMPLE_TASKS
        from components.trainer.corpus import read_corpus
        from components.trainer.examples import ExampleData
        from components.trainer.loop import train
        from components.trainer.memory import keep_freed_memory
        from components.trainer.warm_start import warm_start

        keep_freed_memory()
        folders = inputs["transform_graph"], inputs["transformed_examples"]
        seed, precision = self.trainer.seed, self.trainer.precision
        data: Data
        model: TaskModel
        if self.model.task in EXAMPLE_TASKS:
            task = EXAMPLE_TASKS[self.model.task]
            data = examples = ExampleData.read(*folders, task, self.trainer)
            model = task.build_for(self.model, examples.spec, seed, precision)
        else:
            data = corpus = read_corpus(*folders, self.trainer)
            model = language_model.build(self.model, len(corpus.tokenizer), seed, precision)
        settings = {
            **self.settings(),
            "inputs": {key: digest_folder(path) for key, path in inputs.items()},
            **self.environment(root),
        }
        begun_from = warm_start(model, inputs["transform_graph"], root) if self.trainer.warm_start else None
        outcome = train(model, data, self.trainer, output, self.workspace(root), settings, on_evaluation)
        return dataclasses.replace(outcome, warm_start=begun_from)
