"""The history of a training as curves over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Entry = Mapping[str, Any]
# What the best evaluation has the lowest of, by the kind of model, and its name for people.
GOALS = {"bits_per_char": "bits per character", "loss": "loss"}


def series(history: Sequence[Entry], *path: str | int) -> list[tuple[int, float]]:
    """(step, number) of every entry that has a number at `path`, ascending.

    A step that was taken twice, since the training went back in between, counts as it was the last time.

    Args:
        history: Entries, oldest first.
        path: Keys and indices from the entry inwards, as "eval", "nats".
    """
    found: dict[int, float] = {}
    for entry in history:
        value: Any = entry
        for key in path:
            value = _inside(value, key)
        if isinstance(value, int | float):
            found[entry["step"]] = float(value)
    return sorted(found.items())


def goal_of(history: Sequence[Entry]) -> str:
    """Which of the `GOALS` the evaluations of a history are judged by."""
    return next(
        (goal for goal in GOALS if any(goal in (entry.get("eval") or {}) for entry in history)), "bits_per_char"
    )


def measured(history: Sequence[Entry]) -> list[tuple[int, Mapping[str, Any]]]:
    """(step, measures) of the diagnostic entries that have any, ascending, the last of each step."""
    found = {entry["step"]: entry["diagnostics"] for entry in history if entry.get("diagnostics")}
    return [(step, found[step]) for step in sorted(found)]


def _inside(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(str(key))
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(key, int) and key < len(value):
        return value[key]
    return None
