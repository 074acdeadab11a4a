"""One trial, in a process of its own: `python -m components.tuner.trial CONFIG EXAMPLES TRANSFORMS FOLDER`.

It reports on what was stdout, a JSON object a line: {"evaluation": [epoch, bits_per_char]} after each evaluation, those
of a training that is gone on with first; then {"best": bits_per_char} or {"error": message}. After an evaluation it
waits for a line on stdin, `go on` or `stop`. When stdin ends, whoever asked is gone, and so is this process.
"""

from __future__ import annotations

import json
import math
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO, Any, BinaryIO

from components.trainer.signals import EXIT_CODE_OF_SIGTERM
from components.trainer.stage import Trainer
from components.transform.stage import Transform
from pipeline.config import Config
from pipeline.config_file import load_config
from pipeline.fingerprint import hash_ingredients
from pipeline.stage import Stage

GO_ON, STOP = b"go on\n", b"stop\n"


class Pruned(Exception):
    """Whoever asked for the trial wants no more of it."""


class Channel:
    """Reports to whoever started this process, and hears their answers.

    Args:
        reports: What is reported, a line each.
        answers: A line for each evaluation; its end ends this process.
    """

    def __init__(self, reports: BinaryIO, answers: IO[bytes]) -> None:
        self._reports = reports
        self._answers: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()

    def _listen(self, answers: IO[bytes]) -> None:
        for line in answers:
            self._answers.put(line)
        # At once, and not only at the next evaluation: the next process for this trial must find its folder free.
        os._exit(EXIT_CODE_OF_SIGTERM)

    def report(self, **message: Any) -> None:
        """Sends a message."""
        self._reports.write(json.dumps(message).encode() + b"\n")
        self._reports.flush()

    def evaluation(self, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Reports an evaluation, and waits for the answer.

        Raises:
            Pruned: The answer is to stop.
        """
        bits_per_char = metrics["bits_per_char"]
        finite = bits_per_char is not None and math.isfinite(bits_per_char)
        self.report(evaluation=[epoch, bits_per_char if finite else None])
        if self._answers.get() == STOP:
            raise Pruned


def run(config: Config, examples: Path, transforms: Path, folder: Path, channel: Channel) -> None:
    """Transforms, if nobody has with these settings, and trains; goes on with a training that was stopped.

    Args:
        config: What is tried.
        examples: The corpus.
        transforms: Folder of what the trials' Transforms made, shared by all.
        folder: Of this trial alone.
        channel: Where to report.

    Raises:
        Pruned: The trial is to end early.
        Exception: As the stages.
    """
    trainer = Trainer.from_config(config)
    for epoch, metrics in _evaluations_before(trainer.workspace(folder) / "history.jsonl"):
        channel.evaluation(epoch, metrics)
    inputs = _transformed(Transform.from_config(config), examples, transforms)
    model = folder / "model"
    model.mkdir(exist_ok=True)
    outcome = trainer.train(inputs, model, folder, channel.evaluation)
    channel.report(best=outcome.best if math.isfinite(outcome.best) else None)


def _evaluations_before(history: Path) -> list[tuple[int, Mapping[str, float | None]]]:
    if not history.exists():
        return []
    whole = [line for line in history.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    entries = map(json.loads, whole)
    return [(entry["epoch"], entry["eval"]) for entry in entries if "eval" in entry]


def _transformed(transform: Transform, examples: Path, transforms: Path) -> dict[str, Path]:
    """The outputs of Transform: whole, whenever its folder has its name."""
    final = transforms / hash_ingredients(transform.settings())
    if not final.exists():
        temporary = final.with_suffix(".tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        _run_into(transform, {"examples": examples}, temporary)
        temporary.rename(final)
    return {key: final / key for key in transform.outputs}


def _run_into(stage: Stage, inputs: Mapping[str, Path], folder: Path) -> None:
    outputs = {key: folder / key for key in stage.outputs}
    for path in outputs.values():
        path.mkdir(parents=True)
    stage.run(inputs, outputs, folder)


def main() -> int:
    """Runs the trial that the arguments name; returns the exit code."""
    # What libraries print must not come among the reports.
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _exit)
    # Unbuffered: the interpreter cannot end while a thread holds the lock of a buffer.
    channel = Channel(reports, os.fdopen(os.dup(0), "rb", buffering=0))
    config, examples, transforms, folder = map(Path, sys.argv[1:])
    try:
        run(load_config(config), examples, transforms, folder, channel)
    except Pruned:
        return 0
    except Exception as error:
        traceback.print_exc()
        channel.report(error=str(error) or type(error).__name__)
        return 1
    return 0


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(EXIT_CODE_OF_SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
