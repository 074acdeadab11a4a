"""Runs the command line in a process that dies at a call: `python -m tests.end_to_end.crashing WHEN NAME N ARGUMENT…`.

WHEN is `before` or `after`; NAME is `module:function` or `module:Class.method`, whose N-th call it is.
"""

import importlib
import os
import signal
import sys
from typing import Any

from pipeline.cli import main


def die_at(when: str, name: str, number: int) -> None:
    """Makes the process die as in a power cut, before or after a call."""
    module, _, path = name.partition(":")
    *owners, last = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original, calls = getattr(owner, last), 0

    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*arguments, **keywords)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, last, counted)


if __name__ == "__main__":
    die_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.exit(main(sys.argv[4:]))
