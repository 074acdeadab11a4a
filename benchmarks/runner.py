"""What the runner costs: `python -m benchmarks.runner` prints a table and one line of JSON.

A run in which all is cached, as a whole process: over a root of the quickstart's data (38 plays) with a small network,
or over `--root` and its `--config`. And, within a process, what a stage costs that does nothing but write one byte: run
for the first time, and found to be there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import runner
from pipeline.artifacts import Artifact, Examples
from pipeline.config import Config
from pipeline.stage import Stage

SMALL = ("model.units=16", "model.layers=1", "trainer.epochs=1", "evaluator.thresholds.bits_per_char.upper=100")


def whole_process(root: Path, recipe: str, overrides: Sequence[str], rounds: int) -> list[float]:
    """Seconds of `run` when all is cached; what is not cached yet is done before."""
    command = [sys.executable, "run_pipeline.py", "run", "--json", "--root", str(root), "--config", recipe]
    command += [word for override in overrides for word in ("--set", override)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    taken = []
    for _ in range(rounds):
        clock = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        taken.append(time.perf_counter() - clock)
        statuses = {stage["status"] for stage in json.loads(done.stdout.splitlines()[-1])["stages"]}
        if statuses != {"cached"}:
            raise RuntimeError(f"All stages must be cached. Received: {statuses}.")
    return taken


@dataclasses.dataclass(frozen=True)
class Nothing(Stage):
    """Writes one byte."""

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        for path in outputs.values():
            (path / "byte").write_bytes(b"1")


def chain(count: int) -> list[type[Stage]]:
    """Stages of which each reads what the one before wrote."""
    stages: list[type[Stage]] = []
    for number in range(count):
        inputs: dict[str, type[Artifact]] = {f"out_{number - 1}": Examples} if number else {}
        sides: dict[str, Any] = {"inputs": inputs, "outputs": {f"out_{number}": Examples}}
        stages.append(type(f"Nothing{number}", (Nothing,), {**sides, "__module__": __name__}))
    return stages


def per_stage(count: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds for each of `count` stages that do nothing: run, and found to be there."""
    config = Config.model_validate({"pipeline": {"name": "nothing"}, "example_gen": {"source": "inline:x"}})
    stages = chain(count)
    ran: list[float] = []
    cached: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for taken, status in ((ran, "ran"), (cached, "cached")):
                clock = time.perf_counter()
                summary = runner.run(stages, config, Path(folder))
                taken.append((time.perf_counter() - clock) / count)
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
    print("| what | median, ms | least | most |\n| --- | --- | --- | --- |")
    for name, taken in rows.items():
        figures = (statistics.median(taken), min(taken), max(taken))
        print(f"| {name} | " + " | ".join(f"{seconds * 1000:,.1f}" for seconds in figures) + " |")
    print(json.dumps({name: statistics.median(taken) for name, taken in rows.items()}))


if __name__ == "__main__":
    main()
