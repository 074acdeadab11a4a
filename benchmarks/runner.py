"""What the runner costs: `python -m benchmarks.runner` prints a table and one line of JSON.

A run in which all is cached, as a whole process: over a root of the quickstart's data (38 plays) with a small network,
or over `--root` and its `--config`. And, within a process, what a stage costs that does nothing but write one byte: run
for the first time, and found to be there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.nothing import Nothing
from pipeline import runner
from pipeline.artifacts import Artifact, Examples
from pipeline.config import Config
from pipeline.stage import Stage

SMALL = ("model.units=16", "model.layers=1", "trainer.epochs=1", "evaluator.thresholds.bits_per_char.upper=100")


@dataclasses.dataclass
class Taken:
    """Seconds that something took, once for each round: on the clock, and of the processor."""

    clock: list[float] = dataclasses.field(default_factory=list)
    processor: list[float] = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def round(self, count: int = 1) -> Iterator[None]:
        """Measures one round of `count` equal parts."""
        clock, processor = time.perf_counter(), _processor()
        yield
        self.clock.append((time.perf_counter() - clock) / count)
        self.processor.append((_processor() - processor) / count)


def _processor() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def whole_process(root: Path, recipe: str, overrides: Sequence[str], rounds: int) -> Taken:
    """`run` when all is cached; what is not cached yet is done before."""
    command = [sys.executable, "run_pipeline.py", "run", "--json", "--root", str(root), "--config", recipe]
    command += [word for override in overrides for word in ("--set", override)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    taken = Taken()
    for _ in range(rounds):
        with taken.round():
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        statuses = {stage["status"] for stage in json.loads(done.stdout.splitlines()[-1])["stages"]}
        if statuses != {"cached"}:
            raise RuntimeError(f"All stages must be cached. Received: {statuses}.")
    return taken


def chain(count: int) -> list[type[Stage]]:
    """Stages of which each reads what the one before wrote."""
    stages: list[type[Stage]] = []
    for number in range(count):
        inputs: dict[str, type[Artifact]] = {f"out_{number - 1}": Examples} if number else {}
        sides: dict[str, Any] = {"inputs": inputs, "outputs": {f"out_{number}": Examples}}
        stages.append(type(f"Nothing{number}", (Nothing,), {**sides, "__module__": Nothing.__module__}))
    return stages


def per_stage(count: int, rounds: int) -> tuple[Taken, Taken]:
    """Each of `count` stages that do nothing: run, and found to be there."""
    config = Config.model_validate({"pipeline": {"name": "nothing"}, "example_gen": {"source": "inline:x"}})
    stages, ran, cached = chain(count), Taken(), Taken()
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for taken, status in ((ran, "ran"), (cached, "cached")):
                with taken.round(count):
                    summary = runner.run(stages, config, Path(folder))
                if {stage.status for stage in summary.stages} != {status}:
                    raise RuntimeError(f"All stages must be {status}. Received: {summary}.")
    return ran, cached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a root to measure over (default: a new one, with a small network)")
    parser.add_argument("--config", default="quickstart", help="its recipe")
    parser.add_argument("--stages", type=int, default=10, help="stages that do nothing")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    ran, cached = per_stage(arguments.stages, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        root, overrides = (arguments.root, ()) if arguments.root else (Path(folder), SMALL)
        whole = whole_process(root, arguments.config, overrides, arguments.rounds)
    rows = {"cached run, whole process": whole, "stage that does nothing, run": ran, "the same, cached": cached}
    print("| what | median, ms | least | most | of the processor, median |\n| --- | --- | --- | --- | --- |")
    for name, taken in rows.items():
        figures = (
            statistics.median(taken.clock),
            min(taken.clock),
            max(taken.clock),
            statistics.median(taken.processor),
        )
        print(f"| {name} | " + " | ".join(f"{seconds * 1000:,.1f}" for seconds in figures) + " |")
    print(json.dumps({name: dataclasses.asdict(taken) for name, taken in rows.items()}))


if __name__ == "__main__":
    main()
