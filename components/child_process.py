"""Runs a module of this project in a process of its own, on TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SOURCES = str(Path(__file__).resolve().parents[1])
_LAST_LINES = 5


def run_module(module: str, *arguments: str) -> str:
    """Runs `python -m module arguments…` and returns what it printed.

    Raises:
        RuntimeError: It failed. The message ends with the last lines of its errors.
    """
    # The child must run the code of this process, not what the current folder (-P) or an installation holds.
    path = os.pathsep.join(filter(None, [_SOURCES, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    child = subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if child.returncode:
        last = "\n".join(child.stderr.strip().splitlines()[-_LAST_LINES:])
        raise RuntimeError(f"{module} ended with exit code {child.returncode}:\n{last}")
    return child.stdout
