"""Runs the fake pipeline in processes that die at a chosen point: `python -m tests.pipeline.crashing`.

A point is a moment just before a file below the root is opened to write, renamed or removed, a folder made or removed,
or a lock taken; or just before, or after, the store commits. Reads requests, a JSON object a line:

    {"root": folder, "what": "run" or "collect", "seed": seed of the run, "at": number of the point, or null}

and answers each with {"killed": whether it got so far, "points": what it passed}, in order. Each request is a fork of
this process, which has done all imports: a death costs milliseconds.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import code, runner
from pipeline.collect import collect
from pipeline.metadata import MetadataStore
from tests.pipeline import fakes

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"}


class Points:
    """Counts the points that this process passes, tells of each, and dies at one of them."""

    def __init__(self, root: Path, at: int | None, report: int) -> None:
        self._root, self._at, self._report = str(root), at, report
        self._passed = 0

    def pass_by(self, name: str) -> None:
        os.write(self._report, f"{name}\n".encode())
        if self._passed == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed += 1

    def on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        if event != "open" and event not in _CHANGES:
            return
        first = arguments[0]
        path = os.fspath(first) if isinstance(first, str | os.PathLike) else ""
        # A number is a file that is open, a relative name one in a folder that is: both are of the runner's making.
        if isinstance(first, int) or not str(path).startswith("/") or str(path).startswith(self._root):
            self.pass_by(f"{event} {str(path).removeprefix(self._root)}")

    def install(self) -> None:
        sys.addaudithook(self.on_audit)
        transaction = MetadataStore._transaction

        @contextlib.contextmanager
        def counted(store: MetadataStore) -> Iterator[None]:
            # What is changed goes to the disk at once, so that a death before COMMIT leaves what one in it does: a file
            # that is half written, and a journal to put it back.
            store._database.execute("PRAGMA synchronous = OFF")
            store._database.execute("PRAGMA cache_size = 1")
            with transaction(store):
                yield
                self.pass_by("before COMMIT")
            self.pass_by("after COMMIT")

        MetadataStore._transaction = counted  # type: ignore[method-assign]


def _do(root: Path, what: str, seed: int) -> None:
    if what == "collect":
        collect(root, keep=1, delete=True)
    else:
        summary = runner.run(fakes.STAGES, fakes.config(seed=seed), root)
        assert summary.status == "succeeded", summary


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    reader, writer = os.pipe()
    root = Path(request["root"])
    child = os.fork()
    if child == 0:
        try:
            Points(root, request["at"], writer).install()
            _do(root, request["what"], request["seed"])
            os._exit(0)
        finally:  # an exception, whose traceback is on stderr
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as stream:
        points = stream.read().splitlines()
    status = os.waitpid(child, 0)[1]
    if status not in (0, signal.SIGKILL):
        raise RuntimeError(f"A child ended with {status}. Request: {request}.")
    return {"killed": status == signal.SIGKILL, "points": points}


if __name__ == "__main__":
    code._parse = functools.cache(code._parse)  # type: ignore[assignment]  # the children inherit what is parsed
    for stage in fakes.STAGES:
        code.code_digests(stage.__module__)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()
