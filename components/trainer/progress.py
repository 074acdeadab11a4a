"""Progress of the training on the screen: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


class TrainingProgress:
    """Shows step, nats, bits per character, characters per second and the time left.

    Args:
        total_steps: Steps of the whole training.
    """

    def __init__(self, total_steps: int) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._total = total_steps
        self._bar = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total_steps)

    def __enter__(self) -> Self:
        self._bar.start()
        self._started = self._last_line = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, step: int, nats: float, chars_per_second: float) -> None:
        """Reports that `step` steps are done; `nats` is the mean over the last ones."""
        figures = f"{nats:.3f} nats  {nats / math.log(2):.3f} bpc  {chars_per_second:,.0f} characters/s"
        self._bar.update(self._task, completed=step, description=figures)
        now = time.monotonic()
        if self._bar.disable and (now - self._last_line > _SECONDS_BETWEEN_LINES or step == self._total):
            self._last_line = now
            left = (now - self._started) * (self._total - step) / step
            self.note(f"step {step}/{self._total}  {figures}  ETA {left:.0f} s")

    def note(self, text: str) -> None:
        """Prints a text above the bar."""
        self._console.print(text, markup=False, highlight=False)
