"""Imports of libraries whose C++ code talks to stderr before it can be told not to."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType


def import_quietly(module: str) -> ModuleType:
    """Imports a module with stderr closed to what its native code prints at start-up.

    Nothing else is lost: an import that fails raises, it does not print.
    """
    if module in sys.modules:
        return sys.modules[module]
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        return importlib.import_module(module)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
