"""The Trainer stage."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.native_logs import import_quietly
from pipeline.artifacts import Artifact, Model, TransformedExamples, TransformGraph
from pipeline.config import ModelConfig, TrainerConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Trainer(Stage):
    """Trains the network by stateful truncated BPTT and keeps the best weights."""

    model: ModelConfig
    trainer: TrainerConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"model": Model}

    def environment(self, root: Path) -> dict[str, Any]:
        return {"backend": os.environ.get("KERAS_BACKEND", "tensorflow")}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Keras and its backend take seconds, and `--help` must not.
        import_quietly("keras")
        from components.tasks import language_model
        from components.trainer.loop import Corpus, train
        from components.transform.manifest import Manifest
        from components.transform.reader import LaneReader
        from components.transform.tokenizers import load

        tokenizer = load(inputs["transform_graph"])
        lanes = inputs["transformed_examples"]
        corpus = Corpus(
            train=LaneReader(lanes, "train", tokenizer.end, self.trainer.batch_size),
            eval_stream=LaneReader(lanes, "eval", tokenizer.end).stream(),
            eval_characters=Manifest.load(lanes).splits["eval"].scored_characters,
            tokenizer=tokenizer,
        )
        model = language_model.build(self.model, len(tokenizer), self.trainer.seed, self.trainer.precision)
        train(model, corpus, self.trainer, outputs["model"])
