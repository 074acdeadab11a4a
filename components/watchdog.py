"""Runs a function that starts worker processes, and notices when one of them dies.

Beam's multi-process mode waits for ever for a worker that was killed (by the kernel when memory ran out, say); a worker
that raises is reported as it should be.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import psutil

_SECONDS_BETWEEN_LOOKS = 0.2
# Workers end one after the other before the function that started them returns: those that have loaded TensorFlow take
# a second each, and on a busy machine many.
_SECONDS_OF_GRACE = 60.0


def call_with_workers(function: Callable[..., None], *arguments: Any) -> None:
    """Calls a function in a process of its own and watches the processes that it starts.

    What they print to stderr is dropped (Beam's workers tell their life story there); what they raise is not.

    Args:
        function: Importable, so that the new process finds it.
        arguments: What it is called with; they are pickled.

    Raises:
        RuntimeError: One of its processes died, and the function went on waiting.
        Exception: Whatever the function raised.
    """
    context = multiprocessing.get_context("spawn")
    outcome, report = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(report, pickle.dumps((function, arguments))))
    process.start()
    try:
        _wait(psutil.Process(process.pid), outcome)
        # Taken before the process has ended: it waits until a long report has been read.
        reported = outcome.poll()
        error = outcome.recv() if reported else None
        process.join()
        if not reported:
            error = RuntimeError(f"The process died with code {process.exitcode}.")
    finally:
        process.kill()
    if error is not None:
        raise error


def _call(report: Connection, call: bytes) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        # Only now, because this imports the function's module.
        function, arguments = pickle.loads(call)
        function(*arguments)
    except Exception as error:
        report.send(error)
    else:
        report.send(None)


def _wait(process: psutil.Process, outcome: Connection) -> None:
    """Waits for a process to report or end; ends its descendants when one of them has died before that."""
    seen: set[psutil.Process] = set()
    lost_since: float | None = None
    while _runs(process) and not outcome.poll():
        seen |= set(process.children(recursive=True))
        alive = {worker for worker in seen if _runs(worker)}
        lost_since = (lost_since or time.monotonic()) if alive != seen else None
        if lost_since is not None and time.monotonic() - lost_since > _SECONDS_OF_GRACE:
            for worker in alive:
                worker.kill()
            psutil.wait_procs(alive, timeout=5)
            raise RuntimeError(
                f"Workers: every process must live until the work is done. Received: {len(seen - alive)} of "
                f"{len(seen)} died without a word, as when memory runs out. Use fewer workers (direct_num_workers)."
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
