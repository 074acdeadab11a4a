"""Stateful truncated back-propagation through time: windows in order, states carried, gradients cut at the edges."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from components.sampling import random_uniform, sample
from components.tasks import language_model
from components.tasks.language_model import LanguageModel
from components.tasks.likelihood import evaluate, scorer
from components.trainer.backend import TrainStep, compile_inference
from components.trainer.optimizers import make_optimizer
from components.trainer.progress import TrainingProgress
from components.transform.reader import LaneReader
from components.transform.tokenizers import Tokenizer
from pipeline.config import TrainerConfig

# Reading a loss waits for the device; now and then is enough for a person.
_STEPS_BETWEEN_REPORTS = 20
_SAMPLE_LENGTH = 300
_SAMPLE_TEMPERATURE = 0.8


@dataclass(frozen=True)
class Corpus:
    """What is trained and evaluated on.

    Attributes:
        train: Lanes of the train split.
        eval_stream: Token stream of the eval split.
        eval_characters: What its bits per character are per, see `SplitManifest.scored_characters`.
        tokenizer: Token ids.
    """

    train: LaneReader
    eval_stream: np.ndarray
    eval_characters: int
    tokenizer: Tokenizer


def train(model: LanguageModel, corpus: Corpus, config: TrainerConfig, folder: Path) -> None:
    """Trains `model` and writes the weights with the lowest eval bits_per_char, and the history, into `folder`.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    total_steps = config.epochs * corpus.train.steps
    optimizer = make_optimizer(config.optimizer, total_steps)
    step = TrainStep(model, optimizer)
    score = compile_inference(model, scorer(model))
    write_sample = sampler(model, corpus.tokenizer)
    best = math.inf

    with TrainingProgress(total_steps) as progress, (folder / "history.jsonl").open("w", encoding="utf-8") as history:

        def record(**entry: Any) -> None:
            history.write(json.dumps(entry) + "\n")
            history.flush()

        for epoch in range(1, config.epochs + 1):
            train_epoch(model, step, optimizer, corpus.train, epoch, progress, record)
            if epoch % config.evaluate_every and epoch != config.epochs:
                continue
            step.sync()
            likelihood = evaluate(corpus.eval_stream, corpus.tokenizer.end, score, model.initial_states)
            result = likelihood.metrics(corpus.eval_characters)
            if not math.isfinite(result["nats"]):
                raise FloatingPointError(_not_finite(f"{result['nats']} nats on eval after epoch {epoch}"))
            is_best = result["bits_per_char"] < best
            record(epoch=epoch, step=epoch * corpus.train.steps, eval=result, best=is_best)
            progress.note(
                f"\nepoch {epoch}/{config.epochs}: eval {result['nats']:.4f} nats, {result['bits_per_char']:.4f} bpc"
                f"{' (best so far)' if is_best else ''}\n{write_sample(epoch)}\n"
            )
            if is_best:
                best = result["bits_per_char"]
                language_model.save(model, folder)


def train_epoch(
    model: LanguageModel,
    step: TrainStep,
    optimizer: keras.optimizers.Optimizer,
    reader: LaneReader,
    epoch: int,
    progress: TrainingProgress,
    record: Callable[..., None],
) -> None:
    """One pass over the lanes. Each epoch starts them anew, on zero states."""
    states = model.initial_states(reader.batch_size)
    results = []
    started = time.monotonic()
    for index, window in enumerate(reader.windows()):
        if reader.starts_lanes(index):
            states = model.initial_states(reader.batch_size)
        states, result = step(window, states)
        results.append(result)
        if len(results) < _STEPS_BETWEEN_REPORTS and index + 1 < reader.steps:
            continue

        done = (epoch - 1) * reader.steps + index + 1
        tokens = sum(float(result.tokens) for result in results)
        nats = sum(float(result.nats) for result in results) / tokens
        norm = float(results[-1].gradient_norm)
        if not math.isfinite(nats) or not math.isfinite(norm):
            raise FloatingPointError(
                _not_finite(f"{nats} nats and a gradient norm of {norm} in the {len(results)} steps to step {done}")
            )
        now = time.monotonic()
        record(epoch=epoch, step=done, nats=nats, gradient_norm=norm, learning_rate=learning_rate(optimizer, done - 1))
        progress.update(done, nats, tokens / (now - started))
        results, started = [], now


def _not_finite(received: str) -> str:
    return (
        f"Trainer: loss and gradients must be finite. Received: {received}. Lower trainer.optimizer.learning_rate or "
        "clip the gradients (trainer.optimizer.global_clipnorm)."
    )


def learning_rate(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    """The learning rate of a step. Asked of the schedule: on JAX the optimizer's own counter lags behind."""
    schedule = optimizer.get_config()["learning_rate"]
    if isinstance(schedule, dict):
        schedule = keras.optimizers.schedules.deserialize(schedule)
        return float(schedule(step))
    return float(schedule)


def sampler(model: LanguageModel, tokenizer: Tokenizer) -> Callable[[int], str]:
    """Returns a function seed → text, which starts at `<end>` on a zero state and stops at `<end>`."""
    banned = np.zeros(len(tokenizer), np.float32)
    banned[tokenizer.unsampled] = -np.inf

    def predict(token: Any, reset: Any, states: Any, key: Any, position: Any) -> Any:
        logits, states = model(token[:, None], states, reset=reset[:, None])
        uniform = random_uniform(ops.zeros_like(key), key, position)
        one = ops.ones_like(uniform)
        return sample(logits[:, 0] + banned, uniform, _SAMPLE_TEMPERATURE * one, ops.zeros_like(token), one), states

    compiled = compile_inference(model, predict)

    def write(seed: int) -> str:
        token, states = np.asarray([tokenizer.end], np.int32), model.initial_states(1)
        ids: list[int] = []
        while len(ids) < _SAMPLE_LENGTH:
            key, position = np.asarray([seed], np.uint32), np.asarray([len(ids)], np.uint32)
            token, states = compiled(token, token == tokenizer.end, states, key, position)
            token = ops.convert_to_numpy(token)
            if token[0] == tokenizer.end:
                break
            ids.append(int(token[0]))
        return tokenizer.decode(ids)

    return write
