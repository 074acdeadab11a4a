"""Libraries whose C++ code talks to stderr, and before it can be told not to."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TextIO


@contextlib.contextmanager
def quiet() -> Iterator[TextIO]:
    """Closes stderr to native code, and to all that does not write to the stream that this yields."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with os.fdopen(os.dup(kept), "w", buffering=1, encoding="utf-8") as stream:
            yield stream
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_quietly(module: str) -> ModuleType:
    """Imports a module with stderr closed to what its native code prints at start-up.

    Nothing else is lost: an import that fails raises, it does not print.
    """
    if module in sys.modules:
        return sys.modules[module]
    with quiet():
        return importlib.import_module(module)
