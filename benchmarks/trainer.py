"""What the Trainer adds to its compiled step: `python -m benchmarks.trainer` prints a table and one line of JSON.

The lanes are made by the pipeline's own stages from the packaged plays. Then, in one process and in turns, the Trainer
takes some steps (reading lanes, carrying states, history, progress bar) and the bare compiled step takes as many on one
window. The ratio of their times is the share of the Trainer's time that is the step. So does the same step compiled
without its guard against numbers that are not finite.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def make_lanes(recipe: str, root: Path) -> dict[str, Path]:
    """Runs the pipeline's stages up to Transform and returns output key → folder."""
    command = [sys.executable, "run_pipeline.py", "run", "--config", recipe, "--to", "transform", "--json"]
    done = subprocess.run([*command, "--root", str(root)], stdout=subprocess.PIPE, text=True, check=True)
    summary = json.loads(done.stdout.splitlines()[-1])
    return {key: Path(path) for stage in summary["stages"] for key, path in stage["outputs"].items()}


def measure(recipe: str, lanes: dict[str, Path], rounds: int, seconds: float) -> dict[str, Any]:
    """Times the Trainer's loop and the bare step in turns."""
    import keras

    from components.tasks import language_model
    from components.trainer.backend import TrainStep, Update
    from components.trainer.corpus import read_corpus
    from components.trainer.history import History
    from components.trainer.optimizers import learning_rate, make_optimizer
    from components.trainer.progress import TrainingProgress
    from components.trainer.training import Training
    from pipeline.config_file import load_config

    config = load_config(Path("configs") / f"{recipe}.yaml")
    corpus = read_corpus(lanes["transform_graph"], lanes["transformed_examples"], config.trainer)
    optimizer = config.trainer.optimizer

    def make_model() -> language_model.LanguageModel:
        return language_model.build(config.model, len(corpus.tokenizer), dtype=config.trainer.precision)

    model = make_model()
    update = Update(learning_rate(optimizer, 10**6, 10**6), global_clipnorm=optimizer.global_clipnorm, kick_norm=1.0)
    window = next(iter(corpus.train.read(1))).window

    def bare(step: TrainStep, count: int) -> float:
        states = model.initial_states(corpus.train.batch_size)
        started = time.perf_counter()
        for number in range(count):
            states, result = step(window, states, number)
        float(result.loss)
        return (time.perf_counter() - started) / count

    steps = {name: TrainStep(model, make_optimizer(optimizer), update) for name in ("bare step", "unguarded step")}
    bare(steps["bare step"], 1)  # compiles
    with _without_guard():
        bare(steps["unguarded step"], 1)
    count = max(20, round(seconds / bare(steps["bare step"], 3)))
    times: dict[str, list[float]] = {"trainer": [], "bare step": [], "unguarded step": []}
    many = config.trainer.model_copy(update={"epochs": 10**6, "evaluate_every": 10**6, "nan_policy": "kick"})
    with (
        tempfile.TemporaryDirectory() as folder,
        TrainingProgress() as progress,
        History(Path(folder) / "history.jsonl") as history,
    ):
        training = Training(make_model(), corpus, many, history, progress).run()
        next(training)  # compiles
        for _ in range(rounds):
            started = time.perf_counter()
            for _ in itertools.islice(training, count):
                pass
            times["trainer"].append((time.perf_counter() - started) / count)
            for name, step in steps.items():
                times[name].append(bare(step, count))

    def ratio(one: str, other: str) -> float:
        return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))

    return {
        "recipe": recipe,
        "backend": keras.backend.backend(),
        "steps_a_turn": count,
        **{f"{name}_ms".replace(" ", "_"): 1e3 * statistics.median(each) for name, each in times.items()},
        "bare_step/trainer": ratio("bare step", "trainer"),
        "bare_step/unguarded_step": ratio("bare step", "unguarded step"),
    }


@contextlib.contextmanager
def _without_guard() -> Iterator[None]:
    """Inside, a step that is compiled makes every update, finite or not."""
    import keras

    def apply(good: Any, update: Callable[[], Any], other: Callable[[], Any]) -> Any:
        return update()

    module = "tensorflow" if keras.backend.backend() == "tensorflow" else "jax.lax"
    with unittest.mock.patch(f"{module}.cond", apply):
        yield


def main() -> None:
    """Measures what the command line asks for; KERAS_BACKEND chooses the backend."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=["quickstart", "shakespeare"])
    parser.add_argument("--lanes", type=Path, help="root of a pipeline whose lanes to use (default: a temporary one)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each (default: 7)")
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long a turn lasts (default: 4)")
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for recipe in arguments.recipes:
            lanes = make_lanes(recipe, arguments.lanes or Path(folder) / recipe)
            row = measure(recipe, lanes, arguments.rounds, arguments.seconds)
            print(
                "  ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else str(value) for key, value in row.items()
                )
            )
            results.append(row)
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main()
