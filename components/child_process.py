"""Runs a module of this project in a process of its own, on TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys

_LAST_LINES = 5


def run_module(module: str, *arguments: str) -> str:
    """Runs `python -m module arguments…` and returns what it printed.

    Raises:
        RuntimeError: It failed. The message ends with the last lines of its errors.
    """
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    child = subprocess.run(
        [sys.executable, "-m", module, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if child.returncode:
        last = "\n".join(child.stderr.strip().splitlines()[-_LAST_LINES:])
        raise RuntimeError(f"{module} ended with exit code {child.returncode}:\n{last}")
    return child.stdout
