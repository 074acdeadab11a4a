"""Processes of the pipeline's tests: each runs a few lines of Python, and is talked with line by line."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from collections.abc import Iterator

from pipeline.code import SOURCE_ROOT

_SECONDS = 120  # for what takes a moment: a child that says nothing for so long never will


class Child:
    """A running process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def hear(self) -> str:
        """Returns the next line that it says; nothing if it has ended."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _SECONDS)
        assert ready, f"A child said nothing for {_SECONDS} s."
        return self._process.stdout.readline().decode().rstrip("\n")  # unbuffered: select sees all that is to come

    def tell(self, line: str = "") -> None:
        """Gives it a line on standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def started(program: str, *arguments: object) -> Iterator[Child]:
    """Starts Python code in a process that is killed at the end, if it still runs."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
    with subprocess.Popen(command, cwd=SOURCE_ROOT, **pipes) as process:
        try:
            yield Child(process)
        finally:
            process.kill()
