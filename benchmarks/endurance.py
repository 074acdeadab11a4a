"""A long training in short: `python -m benchmarks.endurance` prints memory over the steps and what files are left.

A tiny model is trained for many steps on lanes of the packaged plays, with checkpoints, rotations, evaluations and
diagnostics as often as a day of real training has them. Memory must not grow and no file may be left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import unittest.mock
from pathlib import Path
from typing import Any

import psutil

from benchmarks.trainer import make_lanes

_SAMPLES = 200


def endure(lanes: dict[str, Path], steps: int, work: Path) -> dict[str, Any]:
    """Trains for about `steps` steps and returns what was seen.

    Args:
        lanes: Output key → folder of a Transform.
        steps: Least number of updates.
        work: Empty folder.
    """
    import keras

    from components.tasks.language_model import LanguageModel
    from components.trainer.checkpoints import ONE_AT_A_TIME
    from components.trainer.corpus import read_corpus
    from components.trainer.loop import train
    from components.trainer.training import Training
    from components.workspace import remove
    from pipeline.trainer_config import OptimizerConfig, TrainerConfig

    # 8 timesteps a step: steps are small and many.
    config = TrainerConfig(
        epochs=1,
        update_interval=8,
        save_every_steps=250,
        save_every_seconds=None,
        optimizer=OptimizerConfig(global_clipnorm=1.0, ema=0.99),
    )
    corpus = read_corpus(lanes["transform_graph"], lanes["transformed_examples"], config)
    epochs = -(-steps // corpus.train.count(1))
    config = config.model_copy(update={"epochs": epochs})
    every = max(epochs * corpus.train.count(1) // _SAMPLES, 1)
    process, memory, take = psutil.Process(), list[tuple[int, float]](), Training._take

    def watched(self: Training, step: Any) -> None:
        take(self, step)
        if self.step % every == 0:
            memory.append((self.step, process.memory_info().rss / 2**20))

    output, workspace = work / "output", work / "checkpoints" / "trainer"
    output.mkdir()
    open_before = process.num_fds()
    started = time.perf_counter()
    model = LanguageModel(len(corpus.tokenizer), units=16, layers=1, input_dropout=0.1)
    with unittest.mock.patch.object(Training, "_take", watched):
        outcome = train(model, corpus, config, output, workspace)
    seconds = time.perf_counter() - started
    kept = sorted(path.name for path in workspace.iterdir())
    remove(workspace, ONE_AT_A_TIME)
    warm = [size for step, size in memory if step > outcome.steps // 10]
    quarter = len(warm) // 4
    first, last = sum(warm[:quarter]) / quarter, sum(warm[-quarter:]) / quarter
    return {
        "backend": keras.backend.backend(),
        "steps": outcome.steps,
        "epochs": epochs,
        "checkpoints": outcome.steps // 250,
        "seconds": seconds,
        "memory_mib_first_quarter_after_warm_up": first,
        "memory_mib_last_quarter": last,
        "growth_percent": 100 * (last / first - 1),
        "peak_mib": max(size for _, size in memory),
        "open_files_more": process.num_fds() - open_before,
        "workspace_at_the_end": kept,
        "left_after_removal": sorted(
            str(path.relative_to(work)) for path in work.rglob("*") if "output" not in str(path)
        ),
        "curve": [(step, round(size, 1)) for step, size in memory[:: max(len(memory) // 20, 1)]],
    }


def main() -> None:
    """Measures what the command line asks for; KERAS_BACKEND chooses the backend."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200_000, help="least number of steps (default: 200000)")
    parser.add_argument("--lanes", type=Path, help="root of a pipeline whose lanes to use (default: a temporary one)")
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with tempfile.TemporaryDirectory() as folder:
        lanes = make_lanes("quickstart", arguments.lanes or Path(folder) / "lanes")
        work = Path(folder) / "work"
        work.mkdir()
        result = endure(lanes, arguments.steps, work)
    for key, value in result.items():
        print(f"{key:<40}{value:.4g}" if isinstance(value, float) else f"{key:<40}{value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
