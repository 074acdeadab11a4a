"""What a language model is trained and evaluated on, from what Transform wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.tasks.language_model import LanguageModel
from components.tasks.likelihood import evaluate, scorer
from components.trainer.backend import compile_inference
from components.trainer.diagnostics.measure import measurer, spans
from components.trainer.samples import sampler
from components.trainer.steps import ExampleSteps, LaneSteps, Steps
from components.transform.examples import Examples
from components.transform.manifest import Manifest
from components.transform.reader import LaneReader
from components.transform.stream import read_stream
from components.transform.tokenizers import Tokenizer, load
from pipeline.trainer_config import EXAMPLES_IN_A_BATCH, TrainerConfig


@dataclass(frozen=True)
class Corpus:
    """What is trained and evaluated on.

    Attributes:
        train: Steps over the train split.
        train_bits: Bits per character that one nat per token is, on the train split.
        eval_stream: Token stream of the eval split.
        eval_characters: What its bits per character are per, see `SplitManifest.scored_characters`.
        tokenizer: Token ids.
    """

    train: Steps
    train_bits: float
    eval_stream: np.ndarray
    eval_characters: int
    tokenizer: Tokenizer

    def objective(self, model: LanguageModel) -> LanguageObjective:
        """Judges `model` on this corpus."""
        return LanguageObjective(model, self)


class LanguageObjective:
    """Judges a language model: see `components.trainer.objective.Objective`."""

    goal = "bits_per_char"

    def __init__(self, model: LanguageModel, corpus: Corpus) -> None:
        self._model, self._corpus = model, corpus
        self._score = compile_inference(model, scorer(model))
        self.sample = sampler(model, corpus.tokenizer)
        self._measure = measurer(model)

    def figures(self, loss: float) -> dict[str, float]:
        return {"nats": loss, "bits_per_char": loss * self._corpus.train_bits}

    def evaluate(self) -> Mapping[str, float]:
        corpus = self._corpus
        likelihood = evaluate(corpus.eval_stream, corpus.tokenizer.end, self._score, self._model.initial_states)
        return likelihood.metrics(corpus.eval_characters)

    def describe(self, metrics: Mapping[str, float]) -> str:
        return f"{metrics['nats']:.4f} nats, {metrics['bits_per_char']:.4f} bpc"

    def measure(self) -> dict[str, Any]:
        corpus = self._corpus
        return self._measure(spans(corpus.eval_stream, corpus.tokenizer.end, corpus.train.timesteps))


def read_corpus(graph: Path, examples: Path, config: TrainerConfig) -> Corpus:
    """Opens the lanes, or the examples, of a folder.

    Args:
        graph: A `TransformGraph`.
        examples: `TransformedExamples` of it.
        config: How the train split is divided into steps.
    """
    tokenizer, manifest = load(graph), Manifest.load(examples)
    steps: Steps
    if manifest.records == "examples":
        train = Examples(examples, "train")
        steps = ExampleSteps(train, tokenizer.end, config.batch_size or EXAMPLES_IN_A_BATCH, config.seed)
        predictions = int(train.lengths("tokens").sum()) + len(train)
    else:
        lanes = LaneReader(examples, "train", tokenizer.end, config.batch_size)
        steps = LaneSteps(lanes, config.update_interval, config.truncation_length, config.length_warmup)
        predictions = lanes.layout.predictions
    return Corpus(
        train=steps,
        train_bits=predictions / manifest.splits["train"].scored_characters / math.log(2),
        eval_stream=read_stream(examples, "eval", tokenizer.end),
        eval_characters=manifest.splits["eval"].scored_characters,
        tokenizer=tokenizer,
    )
