"""The lineage store of a root folder: SQLite tables shaped like ML Metadata's (runs, executions, artifacts, events)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError
from pipeline.files import TEMPORARY
from pipeline.locks import is_held, locked, occupied
from pipeline.metadata_tables import SCHEMA_VERSION, migrate, version_of

FILE_NAME = "metadata.sqlite"


@dataclasses.dataclass(frozen=True)
class StoredArtifact:
    """A folder an execution read or wrote: its type's name, absolute path and content digest."""

    type: str
    path: Path
    digest: str


def paths_of(artifacts: Mapping[str, StoredArtifact]) -> dict[str, Path]:
    """Key → folder."""
    return {key: artifact.path for key, artifact in artifacts.items()}


@dataclasses.dataclass(frozen=True)
class Execution:
    """A completed execution of a stage.

    Attributes:
        id, stage: Its number in the root, and the stage that ran.
        inputs, outputs: Key → what it read and wrote.
        properties: What its fingerprint was made of (code, settings, environment, inputs), and versions of libraries.
        fingerprint: Decides whether it can stand in for another.
        started, seconds: When, in seconds since 1970, and how long.
    """

    id: int
    stage: str
    inputs: Mapping[str, StoredArtifact]
    outputs: Mapping[str, StoredArtifact]
    properties: Mapping[str, Any]
    fingerprint: str
    started: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One line of the `runs` command: `stages` maps stage → status, in order."""

    id: int
    config_path: str
    started: float
    seconds: float | None
    state: str
    stages: Mapping[str, str]


class StoreError(RuntimeError):
    """The lineage store cannot be written: nothing of the attempted change is in it."""


class MetadataStore:
    """Remembers the runs of one root folder. Every write is one transaction.

    Args:
        root: Root folder; the store is `<root>/metadata.sqlite` and is created when missing.
        read_only: Opens an existing store without changing anything.
        alone: Nobody else may have it open to write, now and until it is closed.

    Raises:
        UsageError: The file is no store, or a newer version of this program wrote it; or it is in use.
        sqlite3.OperationalError: It cannot be opened.
        StoreError: It cannot be written.
    """

    def __init__(self, root: Path, read_only: bool = False, alone: bool = False) -> None:
        self.root = root.resolve()
        path = self.root / FILE_NAME
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._open = contextlib.ExitStack()
        with contextlib.ExitStack() as opening:
            if not read_only:
                (self.root / TEMPORARY).mkdir(exist_ok=True)
                opening.enter_context(self._occupied(alone))
                opening.enter_context(locked(self._lock_of(self._owner)))
            # Not `ro`: a reader, too, has to put back what a process that was killed in a commit has half written.
            uri = f"{path.as_uri()}?mode={'rw' if read_only else 'rwc'}"
            # autocommit: `_transaction` opens and closes every transaction itself.
            self._database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
            opening.callback(lambda: self._database.close())
            try:
                self._database.execute("PRAGMA foreign_keys = ON")
                self._database.execute(f"PRAGMA query_only = {read_only:d}")
                self._prepare(path, read_only)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                raise UsageError(
                    f"Metadata: {path} is no lineage store ({error}). Move it away to start anew."
                ) from error
            self._open = opening.pop_all()

    @contextlib.contextmanager
    def _occupied(self, alone: bool) -> Iterator[None]:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(occupied(self.root, alone))
            except BlockingIOError as error:
                who = "a run or another command" if alone else "garbage collection"
                raise UsageError(
                    f"Metadata: {self.root} must not be in use. Received: {who} is at it. Wait until it has ended."
                ) from error
            yield

    def _prepare(self, path: Path, read_only: bool) -> None:
        version = version_of(self._database)
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"Metadata: {path} was written by a newer version of this program. Received: schema version {version}; "
                f"this one knows {SCHEMA_VERSION}. Update the program, or give another --root."
            )
        if version == SCHEMA_VERSION:
            return
        if read_only:  # what is older, or empty as its first writer was killed, is brought up to date in memory
            older, self._database = self._database, sqlite3.connect(":memory:", isolation_level=None)
            older.backup(self._database)
            older.close()
        with self._transaction():
            migrate(self._database)

    def close(self) -> None:
        """Closes the file. What it still says is running counts as interrupted from here on."""
        self._open.close()

    def __enter__(self) -> MetadataStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite has rolled back by itself when the disk is full
                    self._database.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"Metadata: {self.root / FILE_NAME} must be writable. Received: {error}; "
                f"{shutil.disk_usage(self.root).free / 1e6:,.1f} MB are free there. "
                "Make room, or whatever it needs; then the same command goes on with what is done."
            ) from error

    def _lock_of(self, owner: str) -> Path:
        return self.root / TEMPORARY / f"{owner}.lock"

    def _is_alive(self, owner: str) -> bool:
        return is_held(self._lock_of(owner))

    def _insert(self, statement: str, *values: Any) -> int:
        with self._transaction():
            return int(self._database.execute(statement, values).lastrowid or 0)

    # ---- Runs -------------------------------------------------------------------------------------------------------

    def start_run(self, config_path: str, config: Mapping[str, Any]) -> int:
        """Records that a run begins and returns its id."""
        return self._insert(
            "INSERT INTO runs (config_path, config, started, state, owner) VALUES (?, ?, ?, 'running', ?)",
            config_path,
            json.dumps(config, sort_keys=True),
            time.time(),
            self._owner,
        )

    def finish_run(self, run_id: int, state: str, seconds: float) -> None:
        """Records how a run ended: succeeded, failed or not_blessed."""
        self._insert("UPDATE runs SET state = ?, seconds = ? WHERE id = ?", state, seconds, run_id)

    def record_stage(
        self, run_id: int, position: int, stage: str, status: str, seconds: float, execution_id: int | None
    ) -> None:
        """Records what a run did with a stage, and whose outputs it used."""
        values = (run_id, position, stage, status, seconds, execution_id)
        self._insert("INSERT INTO run_stages VALUES (?, ?, ?, ?, ?, ?)", *values)

    def runs(self) -> list[RunRecord]:
        """Lists the runs, oldest first. One whose process died reads `interrupted`."""
        stages: dict[int, dict[str, str]] = {}
        for run_id, stage, status in self._database.execute(
            "SELECT run_id, stage, status FROM run_stages ORDER BY run_id, position"
        ):
            stages.setdefault(run_id, {})[stage] = status
        rows = self._database.execute("SELECT id, config_path, started, seconds, state, owner FROM runs ORDER BY id")
        return [
            RunRecord(
                run_id,
                config_path,
                started,
                seconds,
                "interrupted" if state == "running" and not self._is_alive(owner) else state,
                stages.get(run_id, {}),
            )
            for run_id, config_path, started, seconds, state, owner in rows
        ]

    def config_of(self, run_id: int) -> dict[str, Any]:
        """Returns the whole configuration of a run."""
        (text,) = self._database.execute("SELECT config FROM runs WHERE id = ?", (run_id,)).fetchone()
        return json.loads(text)

    def newest_config(self) -> dict[str, Any] | None:
        """Returns the configuration of the newest run; None before the first one."""
        row = self._database.execute("SELECT config FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else json.loads(row[0])

    # ---- Executions -------------------------------------------------------------------------------------------------

    def start_execution(
        self, stage: str, fingerprint: str, properties: Mapping[str, Any] | None = None, above: int = 0
    ) -> int:
        """Records that a stage begins to run and returns the execution's id: never given before, and above `above`."""
        return self._insert(
            "INSERT INTO executions (id, stage, fingerprint, state, started, owner, properties) SELECT 1 + "
            "max(?, ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'executions'), 0)), ?, ?, 'running', ?, ?, ?",
            above,
            stage,
            fingerprint,
            time.time(),
            self._owner,
            json.dumps(properties or {}, sort_keys=True),
        )

    def complete_execution(
        self,
        execution_id: int,
        seconds: float,
        inputs: Mapping[str, StoredArtifact],
        outputs: Mapping[str, StoredArtifact],
    ) -> None:
        """Records an execution, its inputs and its outputs as complete: from here on it can be reused."""
        with self._transaction():
            for direction, artifacts in (("input", inputs), ("output", outputs)):
                for key, artifact in artifacts.items():
                    event = (execution_id, self._artifact_id(artifact), key, direction)
                    self._database.execute("INSERT INTO events VALUES (?, ?, ?, ?)", event)
            self._database.execute(
                "UPDATE executions SET state = 'complete', seconds = ? WHERE id = ?", (seconds, execution_id)
            )

    def fail_execution(self, execution_id: int, seconds: float, error: str, state: str = "failed") -> None:
        """Records that an execution left nothing: it `failed`, or the model was `not_blessed`."""
        statement = "UPDATE executions SET state = ?, seconds = ?, error = ? WHERE id = ?"
        self._insert(statement, state, seconds, error, execution_id)

    def fail_dead(self) -> list[tuple[str, int]]:
        """Records runs and executions whose process is gone as interrupted; returns stage and id of the executions."""
        dead = []
        changes = {
            "runs": ("''", "state = 'interrupted'"),
            "executions": ("stage", "state = 'failed', error = 'interrupted'"),
        }
        for table, (name, change) in changes.items():
            rows = self._database.execute(f"SELECT id, owner, {name} FROM {table} WHERE state = 'running'").fetchall()
            for row_id, owner, stage in rows:
                if not self._is_alive(owner):
                    # It may have ended well since it was read.
                    self._insert(f"UPDATE {table} SET {change} WHERE id = ? AND state = 'running'", row_id)
                    dead += [(stage, row_id)] if stage else []
        return dead

    def execution_ids(self, *states: str) -> set[int]:
        """Returns the ids of the executions in any of the given states."""
        marks = ", ".join("?" * len(states))
        rows = self._database.execute(f"SELECT id FROM executions WHERE state IN ({marks})", states)
        return {row[0] for row in rows}

    def newest_execution(self, stage: str, fingerprint: str | None = None) -> Execution | None:
        """Returns the newest completed execution of a stage, of one fingerprint when that is given."""
        condition = "stage = ? AND fingerprint = ifnull(?, fingerprint) ORDER BY id DESC LIMIT 1"
        return next(iter(self._complete(condition, stage, fingerprint)), None)

    def executions(self) -> list[Execution]:
        """Lists the completed executions, oldest first."""
        return self._complete("TRUE ORDER BY id")

    def _complete(self, condition: str, *values: Any) -> list[Execution]:
        found = []
        for row in self._database.execute(
            "SELECT id, stage, properties, fingerprint, started, seconds FROM executions "
            f"WHERE state = 'complete' AND {condition}",
            values,
        ).fetchall():
            artifacts: dict[str, dict[str, StoredArtifact]] = {"input": {}, "output": {}}
            for direction, key, kind, path, digest in self._database.execute(
                "SELECT direction, key, type, path, digest FROM events JOIN artifacts ON artifacts.id = artifact_id "
                "WHERE execution_id = ? ORDER BY events.rowid",
                row[:1],
            ):
                artifacts[direction][key] = StoredArtifact(kind, self.root / path, digest)
            execution_id, stage, properties, *rest = row
            sides = (artifacts["input"], artifacts["output"])
            found.append(Execution(execution_id, stage, *sides, json.loads(properties), *rest))
        return found

    def runs_of(self) -> dict[int, list[int]]:
        """Maps each execution to the runs that it was part of, as itself or standing in."""
        found: dict[int, list[int]] = {}
        for execution, run in self._database.execute(
            "SELECT execution_id, run_id FROM run_stages WHERE execution_id IS NOT NULL ORDER BY run_id"
        ):
            found.setdefault(execution, []).append(run)
        return found

    def _name(self, path: Path) -> str:
        # Relative, so that a root folder can be moved.
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def _artifact_id(self, artifact: StoredArtifact) -> int:
        values = (artifact.type, self._name(artifact.path), artifact.digest)
        self._database.execute("INSERT OR IGNORE INTO artifacts (type, path, digest) VALUES (?, ?, ?)", values)
        found = self._database.execute("SELECT id FROM artifacts WHERE path = ? AND digest = ?", values[1:])
        return int(found.fetchone()[0])
