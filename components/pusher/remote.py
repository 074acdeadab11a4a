"""Versions of a served model on any of Beam's file systems (gs://, hdfs://, …): the graph file comes last."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from components.pusher.local import GRAPH_FILE


@dataclass(frozen=True)
class RemoteVersions:
    """What lies below a URL, one folder a version.

    Object stores rename file by file, so there is no instant in which a version appears whole. A server takes a folder
    for a model once it holds saved_model.pb: that comes last, when all else has been read back. Numbers that anything
    lies under are never given again, but two pushes at the same time may take the same one: push to a URL from one root
    at a time.
    """

    url: str

    def path(self, version: int) -> str:
        """Where a version lies."""
        return f"{self.url}/{version}"

    def numbers(self) -> list[int]:
        """Numbers of the versions that hold a graph file, ascending."""
        return sorted(version for version, files in self._files().items() if self._graph(version) in files)

    def holds(self, version: int, digest: str) -> bool:
        """Whether a version is there. Its bytes, which were read back when it was pushed, are not read again."""
        return version in self.numbers()

    def is_copy(self, version: int, model: Path) -> bool:
        """Whether a version is a SavedModel, byte for byte: all of it is read back."""
        files = {f"{self.path(version)}/{name}": model / name for name in _names(model)}
        there = set(self._files().get(version, ()))
        return there == set(files) and all(_equal(source, target) for target, source in files.items())

    def push(self, model: Path, after: int = 0) -> int:
        """Copies a SavedModel as the next version, and returns its number, which is larger than `after`.

        Raises:
            RuntimeError: What was written is not what is read back; it is removed again.
        """
        version = 1 + max([after, *self._files()])
        files = sorted(_names(model), key=lambda name: (name == GRAPH_FILE, name))
        try:
            for name in files:
                self._write(model / name, f"{self.path(version)}/{name}")
        except BaseException:
            self._remove(version)
            raise
        return version

    def remove_old(self, keep: int) -> None:
        """Removes all but the newest `keep` versions."""
        for version in self.numbers()[:-keep]:
            self._remove(version)

    def _graph(self, version: int) -> str:
        return f"{self.path(version)}/{GRAPH_FILE}"

    def _files(self) -> dict[int, list[str]]:
        """Version → its files, complete or not."""
        found: dict[int, list[str]] = {}
        for metadata in _file_systems().match([f"{self.url}/**"])[0].metadata_list:
            number = metadata.path.removeprefix(f"{self.url}/").split("/")[0]
            if number.isdecimal():
                found.setdefault(int(number), []).append(metadata.path)
        return found

    def _write(self, source: Path, target: str) -> None:
        with source.open("rb") as content, _opened(_file_systems().create, target) as file:
            shutil.copyfileobj(content, file)
        if not _equal(source, target):
            raise RuntimeError(
                f"Pusher: a copy must be what was copied. Received: {target}, which reads back differently from "
                f"{source}. What was written of this version is removed; run again."
            )

    def _remove(self, version: int) -> None:
        """The graph file goes first: what is half removed is no model."""
        files = sorted(self._files().get(version, []), key=lambda path: path != self._graph(version))
        for path in files:
            _file_systems().delete([path])
        if files and _file_systems().exists(self.path(version)):  # on file systems that have folders
            _file_systems().delete([self.path(version)])


def _file_systems() -> Any:
    # Imported here: Beam takes seconds, and pushing to this machine needs none.
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _names(model: Path) -> list[str]:
    return [file.relative_to(model).as_posix() for file in model.rglob("*") if file.is_file()]


def _equal(source: Path, target: str) -> bool:
    with source.open("rb") as content, _opened(_file_systems().open, target) as written:
        return _sha256(content) == _sha256(written)


@contextlib.contextmanager
def _opened(open_file: Any, path: str) -> Iterator[IO[bytes]]:
    from apache_beam.io.filesystem import CompressionTypes

    with contextlib.closing(open_file(path, compression_type=CompressionTypes.UNCOMPRESSED)) as file:
        yield file


def _sha256(stream: IO[bytes]) -> bytes:
    total = hashlib.sha256()
    while piece := stream.read(1 << 20):
        total.update(piece)
    return total.digest()
