"""A stage at work in a process of its own, while this one does the work of a stage before it."""

from __future__ import annotations

import codecs
import contextlib
import logging
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from components.child_process import start_module
from pipeline.stage import Stage
from pipeline.stage_log import kept

_STDERR = "stderr"
_SIZE_BYTES = 8
_SECONDS_BETWEEN_LOOKS = 0.1


class Apart:
    """Begins `stage.run` in another process, which dies when this one does.

    Args:
        stage: The stage, of a class that can be imported.
        inputs, outputs, root: What its `run` gets.
        log: File for what it says, as of a stage that runs here.
        folder: A new folder for what it says until somebody waits for it; removed at the end.
    """

    def __init__(
        self,
        stage: Stage,
        inputs: Mapping[str, Path],
        outputs: Mapping[str, Path],
        root: Path,
        log: Path,
        folder: Path,
    ) -> None:
        work = pickle.dumps((stage, dict(inputs), dict(outputs), root, log, _levels()))
        folder.mkdir()
        self._folder = folder
        self._process = start_module("pipeline.apart", errors=folder / _STDERR)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Once its stdin is closed, the process ends: also when this one is killed, since the system closes it then.
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        try:
            os.set_blocking(self._stdout.fileno(), False)
            with contextlib.suppress(BrokenPipeError):  # it has died already, and `wait` says so
                self._stdin.write(len(work).to_bytes(_SIZE_BYTES) + work)
        except BaseException:
            self.end()
            raise

    def wait(self) -> float:
        """Waits until `run` has returned, prints on stderr what it says, and returns how many seconds ago it was done.

        Raises:
            RuntimeError: The process died.
            Exception: What `run` raised.
        """
        outcome = b""
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        try:
            with (self._folder / _STDERR).open("rb") as said:
                ended = False
                while not ended:
                    ended = self._has_ended()
                    outcome += self._stdout.read() or b""
                    sys.stderr.write(decoder.decode(said.read(), final=ended))
                    sys.stderr.flush()
                    if not ended:
                        time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            code = self.end()
        if not outcome:
            raise RuntimeError(f"Runner: the process of a stage died with code {code}. What it said is on stderr.")
        done, error = pickle.loads(outcome)
        if error is not None:
            raise error
        return time.perf_counter() - float(done)

    def end(self) -> int:
        """Ends the process and all that it has started, whatever they are doing; returns its exit code."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # where SIGCHLD is ignored, who has ended is gone
                os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._stdin.close()
        self._stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        return code

    def _has_ended(self) -> bool:
        try:
            # Seen, but not taken note of: its number is no other's until `end`.
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True


def _levels() -> dict[str, int]:
    """Which loggers were made quieter or louder here, and how much."""
    loggers = {"": logging.root} | logging.root.manager.loggerDict
    return {name: logger.level for name, logger in loggers.items() if isinstance(logger, logging.Logger)}


def _main() -> None:
    """Does the work that is on stdin; on stdout goes when it was done, and the exception or None."""
    stdout = os.dup(1)
    os.dup2(2, 1)  # for all others
    work = _read(int.from_bytes(_read(_SIZE_BYTES)))
    # Before the imports, which take a while.
    threading.Thread(target=_die_with_the_other, daemon=True).start()
    stage, inputs, outputs, root, log, levels = pickle.loads(work)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    raised = None
    try:
        with kept(log):
            stage.run(inputs, outputs, root)
    except Exception as error:
        raised = _sendable(error)
    with os.fdopen(stdout, "wb") as stream:
        # The clock is that of the machine, not of a process.
        stream.write(pickle.dumps((time.perf_counter(), raised)))


def _read(size: int) -> bytes:
    # Not from `sys.stdin`: it reads more than it is asked for, and its lock would keep the interpreter from ending.
    content = b""
    while len(content) < size:
        piece = os.read(0, size - len(content))
        if not piece:
            sys.exit(1)
        content += piece
    return content


def _die_with_the_other() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # with Beam's workers


def _sendable(error: Exception) -> Exception:
    """The exception itself, if it comes out of a pickle as it went in; else what it says."""
    try:
        twin = pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does there
        twin = None
    same = type(twin) is type(error) and str(twin) == str(error)
    return error if same else RuntimeError(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    _main()
