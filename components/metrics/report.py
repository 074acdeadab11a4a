"""Figures with their intervals beside what the baselines reach, as text."""

from __future__ import annotations

import math
from collections.abc import Mapping

from components.metrics.bootstrap import CONFIDENCE, Measured


def figures_table(figures: Mapping[str, Measured], baselines: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each figure: its value, its interval, and the same figure of each baseline.

    Args:
        figures: By name, what was measured of the model.
        baselines: By the baseline's name, its figures by theirs. A figure that a baseline does not have is left blank.

    Raises:
        ValueError: A baseline has a figure that was not measured of the model.
    """
    unknown = sorted({name for values in baselines.values() for name in values} - set(figures))
    if unknown:
        raise ValueError(
            f"figures_table: baselines must have figures of the model only. Received: {', '.join(unknown)}, beside "
            f"{', '.join(figures)}. Measure them of the model too."
        )
    rows = [["figure", "value", f"{CONFIDENCE:.0%} interval", *baselines]]
    for name, measured in figures.items():
        interval = f"{_number(measured.low)} … {_number(measured.high)}"
        others = [_number(values[name]) if name in values else "" for values in baselines.values()]
        rows.append([name, _number(measured.value), interval, *others])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{row[0]:{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _number(value: float) -> str:
    """Four significant digits, as many of them zeros as there are: 0.9000, 23.45; a dash where undefined."""
    return "–" if math.isnan(value) else f"{value:#.4g}".rstrip(".")
