"""Runs one trial in a process of its own: nothing of it stays in memory, and its death is not that of the search."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.child_process import last_lines, start_module
from components.trainer.signals import StopRequest
from components.tuner.search import Judge
from components.tuner.trial import GO_ON, STOP
from components.tuner.trials import State, Trial, candidate
from pipeline.config import Config
from pipeline.config_file import dump_config
from pipeline.errors import UsageError

_SECONDS_BETWEEN_LOOKS = 0.2


class TrialRunner:
    """Runs trials, one at a time.

    Args:
        config: What the values of a trial are put into.
        examples: The corpus.
        workspace: A folder for the running trial, and one for what Transform makes for all of them.
        stop: Asked while a trial runs.
    """

    def __init__(self, config: Config, examples: Path, workspace: Path, stop: StopRequest) -> None:
        self._config, self._examples, self._workspace, self._stop = config, examples, workspace, stop

    def run(self, number: int, values: dict[str, Any], judge: Judge) -> Trial:
        """Runs a trial to its end, or goes on with it where it was stopped.

        Raises:
            KeyboardInterrupt, SystemExit: Ctrl-C or SIGTERM; the trial has written a checkpoint.
        """
        self._end_if_stopped()
        try:
            config = candidate(self._config, values)
        except UsageError as error:
            return Trial(number, values, "failed", message=str(error))
        folder = self._workspace / f"trial-{number}"
        folder.mkdir(exist_ok=True)
        started = time.monotonic()
        course = _Course(judge, config.trainer.epochs)
        code = self._follow(course, config, folder)
        if not course.over:
            self._end_if_stopped()
            course.error = _death(code, folder / "log.txt")
        shutil.rmtree(folder)
        seconds = round(time.monotonic() - started, 3)
        evaluations = tuple(course.evaluations.items())
        return Trial(number, values, course.state(), course.best, evaluations, seconds, course.error)

    def _end_if_stopped(self) -> None:
        if self._stop.received is not None:
            raise self._stop.exception()

    def _follow(self, course: _Course, config: Config, folder: Path) -> int:
        """Lets a process train, and answers it; returns its exit code."""
        # Nobody sees a trial's diagnostics, and no update depends on them.
        config = config.model_copy(update={"trainer": config.trainer.model_copy(update={"diagnostics": False})})
        file = folder / "config.yaml"
        file.write_text(dump_config(config), "utf-8")
        transforms = self._workspace / "transforms"
        transforms.mkdir(exist_ok=True)
        arguments = map(str, (file, self._examples, transforms, folder))
        with start_module("components.tuner.trial", *arguments, errors=folder / "log.txt") as child:
            try:
                for report in self._reports(child):
                    if course.takes(report):
                        _answer(child, STOP if course.pruned else GO_ON)
                return child.wait()
            except BaseException:  # a second Ctrl-C, above all
                child.kill()
                raise

    def _reports(self, child: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
        """What the process says until it ends; it is told of a signal, and then has time to save."""
        told, rest = False, b""
        output = child.stdout
        if output is None:
            raise TypeError("Tuner: a trial's process must have a pipe as stdout.")
        while True:
            if self._stop.received is not None and not told:
                child.send_signal(signal.SIGTERM)
                told = True
            if not select.select([output], [], [], _SECONDS_BETWEEN_LOOKS)[0]:
                continue
            received = os.read(output.fileno(), 1 << 16)
            if not received:
                return
            *lines, rest = (rest + received).split(b"\n")
            yield from map(json.loads, lines)


class _Course:
    """How a trial goes.

    Attributes:
        evaluations: Epoch → bits per character.
        best: The lowest.
        pruned: It is to end early.
        error: Why it failed.
        over: It came to an end of its own.
    """

    def __init__(self, judge: Judge, epochs: int) -> None:
        self.evaluations: dict[int, float | None] = {}
        self.best: float | None = None
        self.pruned = self.over = False
        self.error: str | None = None
        self._judge, self._epochs = judge, epochs

    def state(self) -> State:
        """What it came to."""
        if self.error is not None:
            return "failed"
        return "pruned" if self.pruned else "completed"

    def takes(self, report: dict[str, Any]) -> bool:
        """Takes note of a report; says whether it asks for an answer."""
        if "evaluation" not in report:
            self.best, self.error, self.over = report.get("best", self.best), report.get("error"), True
            if self.best is None and self.error is None:
                self.error = "no evaluation was finite"
            return False
        epoch, bits_per_char = report["evaluation"]
        if epoch not in self.evaluations:  # a training that is gone on with may repeat its last evaluation
            self.evaluations[epoch] = bits_per_char
            if bits_per_char is not None:
                self.best = min(bits_per_char, self.best if self.best is not None else bits_per_char)
            # After the last epoch there is nothing to save.
            self.pruned = self.over = self._judge(bits_per_char) and epoch < self._epochs
        return True


def _answer(child: subprocess.Popen[bytes], line: bytes) -> None:
    if child.stdin is None:
        raise TypeError("Tuner: a trial's process must have a pipe as stdin.")
    with contextlib.suppress(BrokenPipeError):  # it has died, which its exit code will say
        child.stdin.write(line)


def _death(code: int, log: Path) -> str:
    """Why a process ended that reported no end."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"its process was ended by {name}" + (", as the system does when memory runs out" * (name == "SIGKILL"))
    return f"its process ended with exit code {code}: {last_lines(log.read_text('utf-8', errors='replace'))}"
