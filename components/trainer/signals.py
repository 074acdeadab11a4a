"""SIGTERM and Ctrl-C while training: noticed between two steps, so that a checkpoint can be written first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

EXIT_CODE_OF_SIGTERM = 128 + signal.SIGTERM


class StopRequest:
    """Catches SIGTERM and SIGINT inside a `with` block; a second one does what it always does.

    Attributes:
        received: The signal that asks to stop, None before it comes.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python allows handlers in the main thread only; elsewhere whoever started the thread has to stop it.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def exception(self) -> BaseException:
        """What ends the program as the signal would have: KeyboardInterrupt, or SystemExit with 143."""
        if self.received is signal.SIGINT:
            return KeyboardInterrupt()
        return SystemExit(EXIT_CODE_OF_SIGTERM)
