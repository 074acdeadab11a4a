"""The report of a search, for people."""

from __future__ import annotations

from collections import Counter
from typing import Any

from components.tuner.search import Found
from components.tuner.trials import Trial, best_of

_SHOWN = 10


def line(trial: Trial, trials: int, is_best: bool) -> str:
    """One line for the screen: what a trial came to."""
    figure = "" if trial.bits_per_char is None else f"{trial.bits_per_char:.4f} bpc, "
    best = " (best so far)" if is_best else ""
    message = "" if trial.message is None else f": {trial.message}"
    return (
        f"trial {trial.number}/{trials}: {figure}{trial.state}{best}, {trial.seconds:.0f} s, {describe(trial)}{message}"
    )


def describe(trial: Trial) -> str:
    """The values of a trial, as they stand on a command line."""
    return " ".join(f"{key}={_show(value)}" for key, value in trial.values.items())


def report(found: Found) -> str:
    """The best trials as a table, what the others came to, and which keys mattered."""
    states = Counter(trial.state for trial in found.trials)
    lines = [f"{len(found.trials)} trials: {', '.join(f'{count} {state}' for state, count in states.most_common())}."]
    best = best_of(found.trials)
    if best is not None:
        lines += [f"Best: trial {best.number}, {best.bits_per_char:.4f} bits per character on eval.", ""]
    with_figure = [trial for trial in found.trials if trial.bits_per_char is not None]
    ranked = sorted(with_figure, key=lambda trial: (trial.state != "completed", trial.bits_per_char))
    keys = list(found.trials[0].values)
    lines += _table(
        [("trial", "bits per character", "evaluations", "state", *keys)]
        + [
            (
                str(trial.number),
                f"{trial.bits_per_char:.4f}",
                str(len(trial.evaluations)),
                trial.state,
                *(_show(trial.values[key]) for key in keys),
            )
            for trial in ranked[:_SHOWN]
        ]
    )
    failed = [trial for trial in found.trials if trial.state == "failed"]
    if failed:
        lines += ["", "Failed:", *(f"  trial {trial.number}: {trial.message}" for trial in failed)]
    if found.importances:
        lines += ["", "Share of each key in what makes a trial one of the best tenth (PED-ANOVA):"]
        lines += _table([(f"  {share:6.1%}", key) for key, share in found.importances.items()])
    return "\n".join(lines) + "\n"


def _show(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
