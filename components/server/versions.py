"""The versions of a model: loads new ones as they are pushed, and lets old ones go when nobody uses them any more."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from components.server.errors import not_found, unavailable
from components.server.version import LoadedVersion

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What has become of a version.

    Attributes:
        number: Of the version.
        state: TensorFlow Serving's word: LOADING, AVAILABLE, UNLOADING or END.
        error: Why it could not be loaded; "" if nothing went wrong.
    """

    number: int
    state: str
    error: str = ""


class Versions:
    """The newest versions of a model, kept up to date.

    A version that cannot be loaded takes no other's place: an older one is served in its stead.

    Args:
        name: Of the model.
        folder: Whose folders with integer names are its versions; or that of one SavedModel, served as version 1, or
            as the version that its own name says.
        keep: How many are served.
        load: Loads one.
    """

    def __init__(
        self, name: str, folder: Path, keep: int = 2, load: Callable[[int, Path], LoadedVersion] = LoadedVersion
    ) -> None:
        self.name = name
        self._folder = folder
        self._keep = keep
        self._load = load
        self._lock = threading.Lock()
        self._loaded: dict[int, LoadedVersion] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._broken: dict[int, frozenset[Any]] = {}  # the files of what could not be loaded
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def refresh(self) -> None:
        """Loads what is new and unloads what is old or gone."""
        found, before = self._find(), set(self._loaded)
        with self._lock:
            for number in list(self._statuses):
                if number not in found and number not in self._loaded:
                    del self._statuses[number]  # a folder of that name may come again
        good: list[int] = []
        for number in sorted(found, reverse=True):
            if len(good) < self._keep and (number in self._loaded or self._add(number, found[number])):
                good.append(number)
        # Only now: between an old version and a new one there is always one to answer.
        if good or not found:
            for number in [number for number in self._loaded if number not in good]:
                self._remove(number)
        if set(self._loaded) != before:
            # What is loaded stays: half a million objects, which the collector would go through again and again while
            # nothing is answered, 0.4 s each time.
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    def watch(self, seconds: float) -> None:
        """Refreshes again and again, in a thread of its own."""

        def run() -> None:
            while not self._stop.wait(seconds):
                try:
                    self.refresh()
                except OSError as error:
                    _LOG.warning("%s: the versions could not be listed: %s", self._folder, error)

        self._watcher = threading.Thread(target=run, name="versions", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Lets all versions finish what they are asked, then unloads them."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join()
        for number in list(self._loaded):
            self._remove(number)

    @contextlib.contextmanager
    def use(self, name: str, number: int | None = None) -> Iterator[LoadedVersion]:
        """A version of the model, the newest if no number is given; it stays loaded until the end of the block.

        Raises:
            RequestError: There is no such model or version.
        """
        with self._lock:
            version = self._loaded.get(max(self._loaded, default=0) if number is None else number)
            if name != self.name:
                version = None
            if version is not None:
                version.acquire()
        if version is None:
            if name == self.name and number is None:
                raise unavailable(f"No version of {name} is loaded (yet).")
            which = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise not_found(f"Servable not found for request: {which}")
        try:
            yield version
        finally:
            version.release()

    def statuses(self, name: str, number: int | None = None) -> list[VersionStatus]:
        """What has become of the versions, the newest first.

        Raises:
            RequestError: There is no such model or version.
        """
        with self._lock:
            known = sorted(self._statuses.values(), key=lambda status: -status.number) if name == self.name else []
        chosen = [status for status in known if number in (None, status.number)]
        if not chosen:
            what = "any version" if number is None else f"version {number}"
            raise not_found(f"Could not find {what} of model {name}.")
        return chosen

    @property
    def is_ready(self) -> bool:
        """Whether there is a version that answers."""
        return bool(self._loaded)

    @property
    def is_loading(self) -> bool:
        """Whether a version is being loaded."""
        with self._lock:
            return any(status.state == "LOADING" for status in self._statuses.values())

    @property
    def loaded(self) -> list[LoadedVersion]:
        """All that answer, the newest first."""
        with self._lock:
            return [self._loaded[number] for number in sorted(self._loaded, reverse=True)]

    def _find(self) -> dict[int, Path]:
        if (self._folder / "saved_model.pb").is_file():
            return {int(self._folder.name) if self._folder.name.isdecimal() else 1: self._folder}
        return {
            int(path.name): path
            for path in self._folder.glob("*")
            if path.name.isdecimal() and (path / "saved_model.pb").is_file()
        }

    def _add(self, number: int, folder: Path) -> bool:
        """Whether it could be loaded; what could not is tried again when its files are others."""
        files = _files(folder)
        if number in self._statuses and self._statuses[number].error and self._broken.get(number) == files:
            return False
        self._broken[number] = files
        self._set(VersionStatus(number, "LOADING"))
        try:
            version = self._load(number, folder)
        except Exception as error:
            # Whatever is wrong with it: the others go on, and its status says why.
            _LOG.error("version %s could not be loaded: %s", number, error)
            self._set(VersionStatus(number, "END", f"{type(error).__name__}: {error}"))
            return False
        with self._lock:
            self._loaded[number] = version
            self._statuses[number] = VersionStatus(number, "AVAILABLE")
        _LOG.info("version %s is loaded", number)
        return True

    def _remove(self, number: int) -> None:
        with self._lock:
            version = self._loaded.pop(number)
            self._statuses[number] = VersionStatus(number, "UNLOADING")
        version.close()
        self._set(VersionStatus(number, "END"))
        _LOG.info("version %s is unloaded", number)

    def _set(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.number] = status


def _files(folder: Path) -> frozenset[Any]:
    """What a folder holds, as far as it can be told without reading it: it may still be copied."""
    found = set()
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            status = path.stat()
            found.add((path, status.st_size, status.st_mtime_ns))
    return frozenset(found)
