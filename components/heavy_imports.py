"""Imports of libraries that make many objects, and whose native code talks to stderr before it can be told not to."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

from components.native_logs import quiet


def import_quietly(module: str) -> ModuleType:
    """Imports a module with stderr closed to what its native code prints at start-up.

    Nothing else is lost: an import that fails raises, it does not print.
    """
    if module in sys.modules:
        return sys.modules[module]
    with quiet(), kept_for_good():
        return importlib.import_module(module)


@contextlib.contextmanager
def kept_for_good() -> Iterator[None]:
    """What is made meanwhile is never looked at as garbage, nor is what there is before: call it early.

    TensorFlow's import makes half a million objects that live as long as the process. Going through them again and
    again takes a third of the import's time, each later search is longer by them, and exit as long once more.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.freeze)
        if collecting:
            gc.enable()
