"""Runs code in a process of its own, because Beam can wait for ever for a worker that died."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 90
# Prints, as the last word, how many of Beam's worker processes the watchdog has seen.
_COUNTING = """
import psutil
from components import watchdog
started, runs = set(), watchdog._runs
def note(process):
    try:
        if process.cmdline()[1:3] == ["-m", "apache_beam.runners.worker.sdk_worker_main"]:
            started.add(process.pid)
    except psutil.Error:
        pass
    return runs(process)
watchdog._runs = note
{code}
print(len(started))
"""


def fresh_environment() -> dict[str, str]:
    """The environment of a shell that types a command: without what libraries that are imported here have set."""
    return {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def heeding_interrupts(*arguments: str) -> list[str]:
    """A command line of Python that heeds SIGINT, though what is started from the background of a script ignores it."""
    # Not `preexec_fn`: it forks, and libraries that are loaded here say things at that.
    heed = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
    )
    return [sys.executable, "-c", heed, sys.executable, *arguments]


def wait_until(holds: Callable[[], object]) -> None:
    """Until something holds that nobody tells of."""
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def workers_started_by(code: str, seconds: int = _SECONDS) -> int:
    """Runs Python code from the repository's root; returns how many worker processes it started."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COUNTING.format(code=textwrap.dedent(code))],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        errors += f"\nkilled after {seconds} seconds"
    assert process.returncode == 0, errors
    return int(output.split()[-1])
