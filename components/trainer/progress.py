"""Progress of the training on the screen: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0
_UNITS = {"nats": "nats", "bits_per_char": "bpc", "loss": "loss"}


class TrainingProgress:
    """Shows step, loss, predictions per second and the time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self.start(0, 1)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def start(self, step: int, total: int) -> None:
        """Tells that `step` of `total` steps were done before."""
        self._first, self._total = step, total
        self._started = self._last_line = time.monotonic()
        self._bar.update(self._task, completed=step, total=total)

    def update(self, step: int, named: Mapping[str, float], per_second: float) -> None:
        """Reports that `step` steps are done; the figures are those of the last ones."""
        shown = "  ".join(f"{figure:.3f} {_UNITS[name]}" for name, figure in named.items())
        figures = f"{shown}  {per_second:,.0f} predictions/s"
        self._bar.update(self._task, completed=step, description=figures)
        now = time.monotonic()
        if self._bar.disable and (now - self._last_line > _SECONDS_BETWEEN_LINES or step == self._total):
            self._last_line = now
            left = (now - self._started) * (self._total - step) / max(step - self._first, 1)
            self.note(f"step {step}/{self._total}  {figures}  ETA {left:.0f} s")

    def note(self, text: str) -> None:
        """Prints a text above the bar."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
