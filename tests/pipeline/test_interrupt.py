"""Ctrl-C ends a process, whatever it is doing."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator

import pytest

from pipeline.code import SOURCE_ROOT
from pipeline.interrupt import ending_at_interrupt
from tests.processes import heeding_interrupts

# One call of native code that takes many minutes and does not listen to signals.
BUSY = """
import hashlib
from pipeline.interrupt import ending_at_interrupt
with ending_at_interrupt():
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


@contextlib.contextmanager
def start(code: str) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(heeding_interrupts("-c", code), cwd=SOURCE_ROOT, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def test_interrupt_ends_a_process_in_the_middle_of_native_code() -> None:
    with start(BUSY) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr.read() == "Interrupted.\n"


def test_interrupt_that_the_process_ignores_stays_ignored() -> None:
    code = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from pipeline.interrupt import ending_at_interrupt\n"
        "with ending_at_interrupt():\n    os.kill(os.getpid(), signal.SIGINT)\nprint('done')"
    )
    with start(code) as process:
        assert process.communicate(timeout=60) == ("done\n", "")


def test_interrupt_afterwards_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        pytest.skip("Ctrl-C is handled in another way here")

    with ending_at_interrupt():
        assert signal.getsignal(signal.SIGINT) is not before  # guard

    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_interrupt_leaves_an_error_alone() -> None:
    with pytest.raises(ValueError, match="mine"), ending_at_interrupt():
        raise ValueError("mine")
