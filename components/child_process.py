"""Runs a module of this project in a process of its own: what starts it, and what a short-lived one begins with."""

from __future__ import annotations

import atexit
import gc
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SOURCES = str(Path(__file__).resolve().parents[1])
_LAST_LINES = 5


def run_module(module: str, *arguments: str, timeout: float | None = None) -> str:
    """Runs `python -m module arguments…` on TensorFlow, without garbage collection, and returns what it printed.

    Args:
        module, arguments: What to run.
        timeout: Seconds after which it is killed; None: never.

    Raises:
        RuntimeError: It failed, or took longer. The message ends with the last lines of its errors.
    """
    line, environment = on_tensorflow("components.child_process", module, *arguments)
    try:
        child = subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{module} was not done after {timeout:g} seconds.") from error
    if child.returncode < 0:
        raise RuntimeError(f"{module} was ended by signal {-child.returncode}:\n{last_lines(child.stderr)}")
    if child.returncode:
        raise RuntimeError(f"{module} ended with exit code {child.returncode}:\n{last_lines(child.stderr)}")
    return child.stdout


def on_tensorflow(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of `python -m module arguments…` on TensorFlow."""
    return _line(module, arguments), {**_environment(), "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}


def start_module(module: str, *arguments: str, errors: Path) -> subprocess.Popen[bytes]:
    """Starts `python -m module arguments…` on the backend of this process, to talk with over unbuffered pipes.

    The signals of the terminal (Ctrl-C) do not reach it.

    Args:
        module, arguments: What to run.
        errors: File that its stderr is appended to.
    """
    with errors.open("ab") as file:
        return subprocess.Popen(
            _line(module, arguments),
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            bufsize=0,
            start_new_session=True,
        )


def last_lines(text: str) -> str:
    """The lines of an error output that say what went wrong."""
    return "\n".join(text.strip().splitlines()[-_LAST_LINES:])


def _line(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", module, *arguments]


def _environment() -> dict[str, str]:
    # The child must run the code of this process, not what the current folder (-P) or an installation holds.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [_SOURCES, os.environ.get("PYTHONPATH")]))}


if __name__ == "__main__":
    # A module that is soon done has no use for a search for garbage, which goes through all that TensorFlow has made
    # again and again: a third of the time that its import takes, and as long once more at exit.
    gc.disable()
    atexit.register(gc.freeze)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
