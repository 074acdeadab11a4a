"""What is remembered of each trial: a line of JSON, appended when the trial has ended."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pipeline.config import Config
from pipeline.config_file import validate

State = Literal["completed", "pruned", "failed"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration that was tried.

    Attributes:
        number: 1, 2, … in the order of the search.
        values: Dotted key → value.
        state: `pruned`: ended early because others were better.
        bits_per_char: Lowest on the eval split; None without a finite evaluation.
        evaluations: (epoch, bits_per_char) of each evaluation; None where it was not finite.
        seconds: How long the process that ended it has run.
        message: Why it failed, or which trial it repeats.
    """

    number: int
    values: Mapping[str, Any]
    state: State
    bits_per_char: float | None = None
    evaluations: tuple[tuple[int, float | None], ...] = ()
    seconds: float = 0.0
    message: str | None = None


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The completed trial with the lowest bits per character, the first of equals."""
    completed = [trial for trial in trials if trial.state == "completed" and trial.bits_per_char is not None]
    return min(completed, key=lambda trial: trial.bits_per_char or 0.0, default=None)


def candidate(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with the values of a trial, and without the section `tuner`.

    Raises:
        UsageError: The values do not go together; the message says which rule they break.
    """
    settings = config.model_dump(mode="json", exclude={"tuner"})
    for key, value in values.items():
        *sections, name = key.split(".")
        section = settings
        for part in sections:
            if section[part] is None:
                section[part] = {}
            section = section[part]
        section[name] = value
    return validate(settings)


def append(path: Path, trial: Trial) -> None:
    """Adds a trial to a file; it is on the disk when this returns."""
    with path.open("ab") as file:
        file.write(json.dumps(dataclasses.asdict(trial), ensure_ascii=False, allow_nan=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Trial]:
    """The trials of a file, in order; none when there is no file."""
    if not path.exists():
        return []
    lines = path.read_text("utf-8").splitlines()
    return [_trial(json.loads(line)) for line in lines]


def mend(path: Path) -> None:
    """Cuts off a last line that a process died in."""
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)


def _trial(values: Mapping[str, Any]) -> Trial:
    evaluations = tuple((epoch, bits_per_char) for epoch, bits_per_char in values["evaluations"])
    return Trial(**{**values, "evaluations": evaluations})
