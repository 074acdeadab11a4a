"""The watchdog: what a function raises comes through, and a killed worker does not hang its caller."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from components import watchdog
from components.watchdog import call_with_workers


def write(path, text):
    Path(path).write_text(text)


def fail():
    raise LookupError("no such thing")


def fail_at_length():
    raise LookupError("x" * 1_000_000)


def wait_for_a_killed_worker(path):
    """Starts two workers, kills one when it has been seen, and waits for ever."""
    workers = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(2)]
    Path(path).write_text(str(workers[1].pid))
    time.sleep(1)
    os.kill(workers[0].pid, signal.SIGKILL)
    workers[0].wait()
    time.sleep(600)


def die():
    os._exit(7)


def test_call_with_workers_runs_the_function(tmp_path):
    call_with_workers(write, str(tmp_path / "file"), "text")

    assert (tmp_path / "file").read_text() == "text"


def test_call_with_workers_raises_what_the_function_raises():
    with pytest.raises(LookupError, match="no such thing"):
        call_with_workers(fail)


def test_call_with_workers_error_longer_than_a_pipe_holds_comes_through():
    with pytest.raises(LookupError) as caught:
        call_with_workers(fail_at_length)
    assert len(str(caught.value)) == 1_000_000


def test_call_with_workers_function_that_dies_is_an_error():
    with pytest.raises(RuntimeError, match="died with code 7"):
        call_with_workers(die)


def test_call_with_workers_killed_worker_ends_the_wait_and_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog, "_SECONDS_OF_GRACE", 0.5)

    with pytest.raises(RuntimeError, match="1 of 2 died without a word"):
        call_with_workers(wait_for_a_killed_worker, str(tmp_path / "pid"))

    other = int((tmp_path / "pid").read_text())
    # Without a parent that asks for its exit code, a process that has ended stays a zombie.
    assert not psutil.pid_exists(other) or psutil.Process(other).status() == psutil.STATUS_ZOMBIE
