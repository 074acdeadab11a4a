"""A process that knows TensorFlow and nothing of this project, and uses SavedModels."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class SavedModelProcess:
    """Calls the functions of `saved_model_server.py` in its process."""

    def __init__(self, process: subprocess.Popen[bytes], errors: Path) -> None:
        self._process = process
        self._errors = errors

    def ask(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((name, arguments), self._process.stdin)
            self._process.stdin.flush()
            worked, answer = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            pytest.fail(f"It ended with {self._process.wait()}: {self._errors.read_text('utf-8')[-2000:]}")
        assert worked, answer
        return answer


@contextlib.contextmanager
def started(folder: Path) -> Iterator[SavedModelProcess]:
    """Starts it in a folder outside the project's, isolated from its environment."""
    script = Path(__file__).with_name("saved_model_server.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("KERAS_BACKEND", None)
    errors = folder / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-I", str(script)],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        yield SavedModelProcess(process, errors)
