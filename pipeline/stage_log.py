"""What a stage and its libraries say, kept in a file for each execution."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

FOLDER = "logs"  # in the root: <stage>-<execution>.log
_LAST_LINES = 10
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_of(root: Path, stage: str, execution_id: int) -> Path:
    """The log of an execution."""
    return root / FOLDER / f"{stage}-{execution_id}.log"


@contextlib.contextmanager
def kept(path: Path) -> Iterator[None]:
    """Copies what is written on stderr and logged to a file, and the traceback of the exception that ends the body.

    Several may run at once: stderr is one for all threads, so each of them keeps what all of them say.
    """
    path.parent.mkdir(exist_ok=True)
    with path.open("ab", buffering=0) as file:
        log = _Log(file)
        handler = logging.StreamHandler(log)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logging.getLogger().addHandler(handler)
        try:
            with _copied_to(log):
                yield
        except BaseException:
            log.write(_TRACEBACK + traceback.format_exc())
            raise
        finally:
            logging.getLogger().removeHandler(handler)


_TRACEBACK = "\n--- the exception\n"


def last_lines(path: Path) -> list[str]:
    """What a log says last before its traceback, which begins with the message that is shown anyway."""
    if not path.is_file():
        return []
    return path.read_text("utf-8", errors="replace").partition(_TRACEBACK)[0].splitlines()[-_LAST_LINES:]


class _Log:
    """A file that takes what it can: a full disk ends a stage by what that writes itself, not by its log."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._file.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        return


_logs: list[_Log] = []  # of what runs now
_changing = threading.Lock()


@contextlib.contextmanager
def _copied_to(log: _Log) -> Iterator[None]:
    # Not `redirect_stderr`: of two threads, the first to leave would put back what the second one replaced.
    with _changing:
        if not _logs:
            sys.stderr = _Copied(sys.stderr)
        _logs.append(log)
    try:
        yield
    finally:
        with _changing:
            _logs.remove(log)
            if not _logs and isinstance(sys.stderr, _Copied):
                sys.stderr = sys.stderr.stream


class _Copied:
    """A stream that is also written to the logs of what runs."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        if "\x1b" not in text:  # a progress bar moves the cursor of a terminal
            for log in list(_logs):
                log.write(text)
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
