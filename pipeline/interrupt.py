"""Ends the process at Ctrl-C, at once and quietly, whatever it is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

EXIT_CODE = 130  # what a shell reports for SIGINT


@contextlib.contextmanager
def ending_at_interrupt() -> Iterator[None]:
    """Within, Ctrl-C ends the process: for commands that have nothing to clean up.

    A KeyboardInterrupt waits for the end of a call of native code, which may take minutes; one between two blocks of
    standard input waits for the next of them; and one while libraries are imported may be taken for a failure of
    theirs. So another thread waits for the signal.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, as in the background of a script
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    thread = threading.Thread(target=_end_at_signal, args=(reader,), daemon=True)
    thread.start()
    signal.signal(signal.SIGINT, lambda number, frame: None)
    before = signal.set_wakeup_fd(writer)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(writer)
        thread.join()
        os.close(reader)


def _end_at_signal(reader: int) -> None:
    if os.read(reader, 1):  # nothing: the pipe was closed
        os.write(2, b"Interrupted.\n")
        os._exit(EXIT_CODE)
