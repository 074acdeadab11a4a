"""How far one long pass is, on the screen: live on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

_SECONDS_BETWEEN_LINES = 15.0


@contextlib.contextmanager
def shown(label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows how far a pass is while the body runs, with its rate and the time left; nothing of it stays on a terminal.

    Args:
        label: What is done.
        total: How much all of it is.
        unit: Of what, in the plural.

    Yields:
        What is to be told how much is done, as often as one likes.
    """
    console = Console(stderr=True, highlight=False)
    live = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = live.add_task(label, total=None)
    started = last_line = time.monotonic()

    def update(done: int) -> None:
        nonlocal last_line
        now = time.monotonic()
        seconds = max(now - started, 1e-3)
        left = f"  ETA {seconds * (total - done) / done:.0f} s" if done else ""
        figures = f"{label}: {done:,}/{total:,} {unit}  {done / seconds:,.0f} {unit}/s{left}"
        live.update(task, description=figures)
        if live.disable and now - last_line > _SECONDS_BETWEEN_LINES:
            last_line = now
            console.print(figures, markup=False, soft_wrap=True)

    with live:
        yield update
