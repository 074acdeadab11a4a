"""One execution in progress: it leaves its outputs whole and registered, or nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import glob
import importlib.metadata
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pipeline.apart import Apart
from pipeline.errors import NotBlessed
from pipeline.files import EXECUTION, TEMPORARY, digest_folder, sync_folder
from pipeline.fingerprint import hash_ingredients
from pipeline.metadata import Execution, MetadataStore, StoredArtifact, StoreError, paths_of
from pipeline.stage import Stage
from pipeline.stage_log import kept, log_of

# Ends the name of a file in .tmp: this execution is complete, or about to be, and `Stage.forget` was not called yet.
UNFORGOTTEN = ".unforgotten"
_LIBRARIES = ("tensorflow", "keras", "jax", "numpy", "apache-beam")  # whose versions lineage tells


@dataclasses.dataclass(frozen=True)
class Attempt:
    """An execution in progress, in a temporary folder that one rename turns into its outputs.

    Attributes:
        store: Where it is registered.
        stage: What runs.
        inputs: What the stage reads.
        properties: What its fingerprint is made of, and the versions of libraries.
        fingerprint: Says which other executions it can stand in for.
        id: Its number.
        started: When it began, in seconds since 1970.
        clock: The same on the clock that is never set.
    """

    store: MetadataStore
    stage: Stage
    inputs: Mapping[str, StoredArtifact]
    properties: dict[str, Any]
    fingerprint: str
    id: int
    started: float
    clock: float

    @classmethod
    def start(
        cls, store: MetadataStore, stage: Stage, parts: Mapping[str, Any], inputs: Mapping[str, StoredArtifact]
    ) -> Self:
        """Registers a new execution, and makes the folders of its outputs.

        Args:
            parts: What its fingerprint is made of.
        """
        started, clock = time.time(), time.perf_counter()
        above = max((int(folder.name) for folder in execution_folders(store.root)), default=0)
        fingerprint, properties = hash_ingredients(parts), {**parts, "libraries": _versions()}
        number = store.start_execution(stage.stage_name(), fingerprint, properties, above)
        attempt = cls(store, stage, inputs, properties, fingerprint, number, started, clock)
        with attempt._all_or_nothing():
            for path in attempt.outputs.values():
                path.mkdir(parents=True)
        return attempt

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.stage.stage_name()

    @property
    def folder(self) -> Path:
        """Where the outputs are until they are whole."""
        return self.store.root / TEMPORARY / f"{os.getpid()}-{self.name}-{self.id}"

    @property
    def outputs(self) -> dict[str, Path]:
        """The folders that the stage fills."""
        return {key: self.folder / key for key in self.stage.outputs}

    @property
    def log(self) -> Path:
        """What the stage says."""
        return log_of(self.store.root, self.name, self.id)

    def run_apart(self) -> Apart:
        """Begins to run the stage in a process of its own."""
        with self._all_or_nothing():
            apart = self.folder.with_suffix(".apart")
            return Apart(self.stage, paths_of(self.inputs), self.outputs, self.store.root, self.log, apart)

    def complete(self, apart: Apart | None = None) -> Execution:
        """Runs the stage, and publishes and registers its outputs.

        Args:
            apart: The process in which it runs; None: it runs in this one.

        Raises:
            RuntimeError: An output is empty, the disk is full, or the other process died.
            Exception: What the stage raises. Nothing of the execution is left then but its log and, in the store, its
                end.
        """
        with self._all_or_nothing():
            idle = 0.0
            if apart is not None:
                idle = apart.wait()
            else:
                with kept(self.log):
                    self.stage.run(paths_of(self.inputs), self.outputs, self.store.root)
            for output, path in self.outputs.items():
                if not path.is_dir() or not any(path.iterdir()):
                    raise RuntimeError(
                        f"Runner: a stage must fill each output. Received: {self.name} left {output!r} empty."
                    )
            digests = {output: digest_folder(path) for output, path in self.outputs.items()}
            seconds = time.perf_counter() - self.clock - idle
            record = {
                "id": self.id,
                "fingerprint": self.fingerprint,
                **self.properties,
                "outputs": digests,
                "started": self.started,
                "seconds": round(seconds, 3),
            }
            final = self.store.root / self.name / str(self.id)
            _publish(self.folder, final, json.dumps(record, indent=2, sort_keys=True) + "\n")
        outputs = {
            output: StoredArtifact(kind.__name__, final / output, digests[output])
            for output, kind in self.stage.outputs.items()
        }
        unforgotten = self.folder.with_suffix(UNFORGOTTEN)
        unforgotten.touch()
        self.store.complete_execution(self.id, seconds, self.inputs, outputs)
        self.stage.forget(self.store.root)
        unforgotten.unlink(missing_ok=True)
        return Execution(
            self.id, self.name, self.inputs, outputs, self.properties, self.fingerprint, self.started, seconds
        )

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Gives up if the body raises, and says of a full disk what can be done about it."""
        try:
            yield
        except BaseException as error:
            self.give_up(error)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                root = self.store.root
                raise RuntimeError(
                    f"Runner: {self.name} must have room for its outputs. Received: {error.strerror} "
                    f"({error.filename or self.folder}); {shutil.disk_usage(root).free / 1e6:,.1f} MB are free in "
                    f"{root} without them. Make room; the same command goes on with what is done."
                ) from error
            raise

    def give_up(self, error: BaseException) -> None:
        """Leaves nothing of the execution but its log and, in the store, what ended it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        state = "not_blessed" if isinstance(error, NotBlessed) else "failed"
        try:
            self.store.fail_execution(
                self.id, time.perf_counter() - self.clock, str(error) or type(error).__name__, state
            )
        except StoreError as unsaid:  # the next run finds it without an owner
            error.add_note(str(unsaid))


def _versions() -> dict[str, str]:
    versions = {}
    for library in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # not every backend is installed
            versions[library] = importlib.metadata.version(library)
    return versions


def _publish(folder: Path, final: Path, record: str) -> None:
    """Writes the marker last and renames the folder: its outputs appear together, or not at all."""
    with (folder / EXECUTION).open("w", encoding="utf-8") as stream:
        stream.write(record)
        stream.flush()
        os.fsync(stream.fileno())
    final.parent.mkdir(exist_ok=True)
    sync_folder(folder)
    folder.rename(final)
    sync_folder(final.parent)


def execution_of(path: Path) -> int | None:
    """Which execution something in .tmp belongs to; None for none."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdigit() else None


def execution_folders(root: Path) -> list[Path]:
    """Lists the folders of executions below a root, registered or not."""
    # Not `Path.glob`, which fails if a folder is gone by then, such as the checkpoints of another run that is done.
    files = [root / name for name in glob.glob(f"*/*/{EXECUTION}", root_dir=root)]  # noqa: PTH207
    return [file.parent for file in files if file.parent.name.isdigit()]
