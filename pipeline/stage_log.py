"""What a stage and its libraries say, kept in a file for each execution."""

from __future__ import annotations

import contextlib
import logging
import sys
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
    """Copies what is written on stderr and logged to a file, and the traceback of the exception that ends the body."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1) as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stderr(_Both(sys.stderr, file)):
                yield
        except BaseException:
            file.write(_TRACEBACK + traceback.format_exc())
            raise
        finally:
            logging.getLogger().removeHandler(handler)


_TRACEBACK = "\n--- the exception\n"


def last_lines(path: Path) -> list[str]:
    """What a log says last before its traceback, which begins with the message that is shown anyway."""
    if not path.is_file():
        return []
    return path.read_text("utf-8", errors="replace").partition(_TRACEBACK)[0].splitlines()[-_LAST_LINES:]


class _Both:
    """A stream that also writes to a file."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream, self._file = stream, file

    def write(self, text: str) -> int:
        if "\x1b" not in text:  # a progress bar moves the cursor of a terminal
            self._file.write(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
