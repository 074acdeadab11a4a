"""Metrics as a table for people, beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping

from components.metrics.measured import Measured


def metrics_table(metrics: Mapping[str, Measured], baselines: Mapping[str, Mapping[str, Measured]]) -> str:
    """A line for each metric: value, 95 % interval, and what each baseline reaches."""
    head = f"{'metric':16}    value   95 % interval     " + "".join(f"{name:>16}" for name in baselines)
    lines = [head.rstrip()]
    for name, found in metrics.items():
        interval = " " * 17 if found.low is None or found.high is None else f"{found.low:8.4f} {found.high:8.4f}"
        others = [reached[name].value if name in reached else None for reached in baselines.values()]
        cells = "".join(f"{'':16}" if other is None else f"{other:16.4f}" for other in others)
        lines.append(f"{name:16} {found.value:8.4f}  {interval}   {cells}".rstrip())
    return "\n".join(lines) + "\n"
