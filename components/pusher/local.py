"""Versions of a served model in a folder of this machine: each appears in one rename, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import digest_folder, sync_folder
from pipeline.locks import locked

GRAPH_FILE = "saved_model.pb"


@dataclass(frozen=True)
class LocalVersions:
    """A folder whose folders with integer names are the versions, as TensorFlow Serving has it."""

    folder: Path

    def path(self, version: int) -> str:
        """Where a version lies."""
        return str(self.folder / str(version))

    def numbers(self) -> list[int]:
        """Numbers of the versions, ascending."""
        return sorted(int(path.name) for path in self.folder.glob("*") if path.name.isdecimal() and path.is_dir())

    def holds(self, version: int, digest: str) -> bool:
        """Whether a version is there, byte for byte."""
        folder = self.folder / str(version)
        return (folder / GRAPH_FILE).is_file() and digest_folder(folder) == digest

    def is_copy(self, version: int, model: Path) -> bool:
        """Whether a version is a SavedModel, byte for byte."""
        return self.holds(version, digest_folder(model))

    def push(self, model: Path, after: int = 0) -> int:
        """Copies a SavedModel as the next version, and returns its number, which is larger than `after`.

        A server that watches the folder takes a directory with an integer name that holds saved_model.pb for a model.
        So the copy is made under another name, the graph file last, read back, and renamed when everything is on the
        disk.

        Raises:
            RuntimeError: What was written is not what is read back.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / ".pushing.lock"):
            for left in self.folder.glob(".incoming-*"):  # by a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            return self._push(model, self.folder / f".incoming-{os.getpid()}", after)

    def _push(self, model: Path, temporary: Path, after: int) -> int:
        try:
            shutil.copytree(model, temporary, ignore=shutil.ignore_patterns(GRAPH_FILE))
            shutil.copy2(model / GRAPH_FILE, temporary / GRAPH_FILE)
            for file in [path for path in temporary.rglob("*") if path.is_file()]:
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            if digest_folder(temporary) != digest_folder(model):
                raise RuntimeError(
                    f"Pusher: a copy must be what was copied. Received: {temporary}, which reads back differently from "
                    f"{model}. Nothing was pushed; check the disk and run again."
                )
            return self._rename_to_next(temporary, after)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _rename_to_next(self, temporary: Path, after: int) -> int:
        while True:
            version = 1 + max([after, *self.numbers()])
            while (self.folder / str(version)).is_file():  # whatever it is, it is no version
                version += 1
            try:
                temporary.rename(self.folder / str(version))
            except OSError as error:
                # Another push took the number in between.
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            else:
                sync_folder(self.folder)
                return version

    def remove_old(self, keep: int) -> None:
        """Removes all but the newest `keep` versions."""
        for version in self.numbers()[:-keep]:
            shutil.rmtree(self.folder / str(version))
