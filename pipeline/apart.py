"""A stage at work in a process of its own, while this one does the work of a stage before it."""

from __future__ import annotations

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

_STDERR, _ERROR = "stderr", "error.pickle"
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
        folder.mkdir()
        self._folder = folder
        self._process = start_module("pipeline.apart", errors=folder / _STDERR)
        assert self._process.stdin is not None
        # Once it is closed, the other process ends: also when this one is killed, since the system closes it then.
        self._lifeline = self._process.stdin
        work = pickle.dumps((stage, dict(inputs), dict(outputs), root, log, folder / _ERROR, _levels()))
        with contextlib.suppress(BrokenPipeError):  # it has died already, and `wait` says so
            self._lifeline.write(work)

    def wait(self) -> None:
        """Waits until `run` has returned, and prints on stderr what it says.

        Raises:
            RuntimeError: The process died.
            Exception: What `run` raised.
        """
        try:
            with (self._folder / _STDERR).open(encoding="utf-8", errors="backslashreplace") as said:
                ended = False
                while not ended:
                    # Seen, but not taken note of: its number is no other's until `end`.
                    ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
                    sys.stderr.write(said.read())
                    sys.stderr.flush()
                    if not ended:
                        time.sleep(_SECONDS_BETWEEN_LOOKS)
            error = self._folder / _ERROR
            raised = pickle.loads(error.read_bytes()) if error.is_file() else None
        finally:
            code = self.end()
        if raised is not None:
            raise raised
        if code:
            raise RuntimeError(f"Runner: the process of a stage died with code {code}; its log may say why.")

    def end(self) -> int:
        """Ends the process and all that it has started, whatever they are doing; returns its exit code."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        return code


def _levels() -> dict[str, int]:
    """Which loggers were made quieter or louder here, and how much."""
    loggers = {"": logging.root} | logging.root.manager.loggerDict
    return {name: logger.level for name, logger in loggers.items() if isinstance(logger, logging.Logger)}


def _main() -> None:
    """Does the work that is on stdin."""
    os.dup2(2, 1)  # nobody reads stdout
    stage, inputs, outputs, root, log, error_file, levels = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with_the_other, daemon=True).start()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    try:
        with kept(log):
            stage.run(inputs, outputs, root)
    except Exception as error:
        error_file.write_bytes(_pickled(error))
        sys.exit(1)


def _die_with_the_other() -> None:
    while os.read(0, 1):  # not `sys.stdin.read`, whose lock would keep the interpreter from ending
        pass
    os.killpg(0, signal.SIGKILL)  # with Beam's workers


def _pickled(error: Exception) -> bytes:
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:  # an exception of a library that cannot be sent; what it says can
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return pickled


if __name__ == "__main__":
    _main()
