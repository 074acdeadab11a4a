"""The lineage store of a root folder: SQLite tables shaped like ML Metadata's (runs, executions, artifacts, events)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError

FILE_NAME = "metadata.sqlite"
SCHEMA_VERSION = 1
# Times are seconds since 1970; durations are seconds. `owner` is the process that runs it, see `_is_alive`.
_SCHEMA = (
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, config_path TEXT NOT NULL, config TEXT NOT NULL,
        started REAL NOT NULL, seconds REAL, state TEXT NOT NULL, owner TEXT NOT NULL)""",
    """CREATE TABLE executions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, stage TEXT NOT NULL, fingerprint TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'not_blessed')),
        started REAL NOT NULL, seconds REAL, error TEXT, owner TEXT NOT NULL)""",
    "CREATE INDEX executions_by_fingerprint ON executions (fingerprint)",
    # `path` is relative to the root folder, or absolute for an input that lies outside it.
    """CREATE TABLE artifacts (
        id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL,
        UNIQUE (path, digest))""",
    """CREATE TABLE events (
        execution_id INTEGER NOT NULL REFERENCES executions (id),
        artifact_id INTEGER NOT NULL REFERENCES artifacts (id),
        key TEXT NOT NULL, direction TEXT NOT NULL CHECK (direction IN ('input', 'output')),
        PRIMARY KEY (execution_id, direction, key))""",
    """CREATE TABLE run_stages (
        run_id INTEGER NOT NULL REFERENCES runs (id), position INTEGER NOT NULL, stage TEXT NOT NULL,
        status TEXT NOT NULL, seconds REAL NOT NULL, execution_id INTEGER REFERENCES executions (id),
        PRIMARY KEY (run_id, position))""",
)
_PROCESS = f"{os.getpid()}-{secrets.token_hex(4)}"


@dataclasses.dataclass(frozen=True)
class StoredArtifact:
    """A folder an execution read or wrote: its type's name, absolute path and content digest."""

    type: str
    path: Path
    digest: str


@dataclasses.dataclass(frozen=True)
class Execution:
    """A completed execution of a stage and what it wrote."""

    id: int
    stage: str
    inputs: Mapping[str, StoredArtifact]
    outputs: Mapping[str, StoredArtifact]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One line of the `runs` command: `stages` maps stage → status, in order."""

    id: int
    config_path: str
    started: float
    seconds: float | None
    state: str
    stages: Mapping[str, str]


class MetadataStore:
    """Remembers the runs of one root folder. Every write is one transaction.

    Args:
        root: Root folder; the store is `<root>/metadata.sqlite` and is created when missing.
        read_only: Opens an existing store without changing anything.

    Raises:
        UsageError: The file is no store, or a newer version of this program wrote it.
        sqlite3.OperationalError: It cannot be opened or written.
    """

    def __init__(self, root: Path, read_only: bool = False) -> None:
        self.root = root.resolve()
        path = self.root / FILE_NAME
        uri = f"{path.as_uri()}?mode={'ro' if read_only else 'rwc'}"
        # autocommit: `_transaction` opens and closes every transaction itself.
        self._database = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        try:
            self._database.execute("PRAGMA foreign_keys = ON")
            with contextlib.nullcontext() if read_only else self._transaction():
                self._prepare(path, read_only)
        except sqlite3.OperationalError:
            self.close()
            raise
        except sqlite3.DatabaseError as error:
            self.close()
            raise UsageError(f"Metadata: {path} is no lineage store ({error}). Move it away to start anew.") from error
        except BaseException:
            self.close()
            raise

    def _prepare(self, path: Path, read_only: bool) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise UsageError(
                f"Metadata: {path} was written by a newer version of this program. Received: schema version {version}; "
                f"this one knows {SCHEMA_VERSION}. Update the program, or give another --root."
            )
        if version == 0 and not read_only:
            for statement in _SCHEMA:
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def __enter__(self) -> MetadataStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

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
            _PROCESS,
        )

    def finish_run(self, run_id: int, state: str) -> None:
        """Records how a run ended: succeeded, failed or not_blessed."""
        self._insert("UPDATE runs SET state = ?, seconds = ? - started WHERE id = ?", state, time.time(), run_id)

    def record_stage(
        self, run_id: int, position: int, stage: str, status: str, seconds: float, execution_id: int | None
    ) -> None:
        """Records what a run did with a stage, and whose outputs it used."""
        values = (run_id, position, stage, status, seconds, execution_id)
        self._insert("INSERT INTO run_stages VALUES (?, ?, ?, ?, ?, ?)", *values)

    def runs(self) -> list[RunRecord]:
        """Lists the runs, oldest first. One whose process died reads `interrupted`."""
        if self._database.execute("PRAGMA user_version").fetchone()[0] == 0:
            return []
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
                "interrupted" if state == "running" and not _is_alive(owner) else state,
                stages.get(run_id, {}),
            )
            for run_id, config_path, started, seconds, state, owner in rows
        ]

    def newest_config(self) -> dict[str, Any] | None:
        """Returns the configuration of the newest run; None before the first one."""
        row = self._database.execute("SELECT config FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        return None if row is None else json.loads(row[0])

    # ---- Executions -------------------------------------------------------------------------------------------------

    def start_execution(self, stage: str, fingerprint: str, above: int = 0) -> int:
        """Records that a stage begins to run and returns the execution's id: never given before, and above `above`."""
        return self._insert(
            "INSERT INTO executions (id, stage, fingerprint, state, started, owner) SELECT "
            "1 + max(?, ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'executions'), 0)), ?, ?, 'running', ?, ?",
            above,
            stage,
            fingerprint,
            time.time(),
            _PROCESS,
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

    def fail_dead_executions(self) -> None:
        """Records runs and executions whose process is gone as interrupted."""
        changes = {"runs": "state = 'interrupted'", "executions": "state = 'failed', error = 'interrupted'"}
        for table, change in changes.items():
            rows = self._database.execute(f"SELECT id, owner FROM {table} WHERE state = 'running'").fetchall()
            for row_id, owner in rows:
                if not _is_alive(owner):
                    self._insert(f"UPDATE {table} SET {change} WHERE id = ?", row_id)

    def execution_ids(self, *states: str) -> set[int]:
        """Returns the ids of the executions in any of the given states."""
        marks = ", ".join("?" * len(states))
        rows = self._database.execute(f"SELECT id FROM executions WHERE state IN ({marks})", states)
        return {row[0] for row in rows}

    def newest_execution(self, stage: str, fingerprint: str | None = None) -> Execution | None:
        """Returns the newest completed execution of a stage, of one fingerprint when that is given."""
        row = self._database.execute(
            "SELECT id FROM executions WHERE stage = ? AND state = 'complete' AND fingerprint = ifnull(?, fingerprint) "
            "ORDER BY id DESC LIMIT 1",
            (stage, fingerprint),
        ).fetchone()
        if row is None:
            return None
        artifacts: dict[str, dict[str, StoredArtifact]] = {"input": {}, "output": {}}
        for direction, key, kind, path, digest in self._database.execute(
            "SELECT direction, key, type, path, digest FROM events JOIN artifacts ON artifacts.id = artifact_id "
            "WHERE execution_id = ?",
            row,
        ):
            artifacts[direction][key] = StoredArtifact(kind, self.root / path, digest)
        return Execution(row[0], stage, artifacts["input"], artifacts["output"])

    def made_from(self, path: Path, kind: str) -> list[Path]:
        """Lists the artifacts of a type that an artifact was made from, whatever was in between."""
        rows = self._database.execute(
            "WITH RECURSIVE line (artifact_id) AS (SELECT id FROM artifacts WHERE path = ? UNION "
            "SELECT input.artifact_id FROM line JOIN events AS output USING (artifact_id) "
            "JOIN events AS input USING (execution_id) WHERE output.direction = 'output' AND input.direction = 'input')"
            "SELECT path FROM artifacts JOIN line ON id = artifact_id WHERE type = ?",
            (self._name(path), kind),
        )
        return [self.root / row[0] for row in rows]

    def _name(self, path: Path) -> str:
        # Relative, so that a root folder can be moved.
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def _artifact_id(self, artifact: StoredArtifact) -> int:
        values = (artifact.type, self._name(artifact.path), artifact.digest)
        self._database.execute("INSERT OR IGNORE INTO artifacts (type, path, digest) VALUES (?, ?, ?)", values)
        found = self._database.execute("SELECT id FROM artifacts WHERE path = ? AND digest = ?", values[1:])
        return int(found.fetchone()[0])


def _is_alive(owner: str) -> bool:
    """Says whether the process `<pid>-<token>` still runs; the token tells it from an earlier one that had its pid."""
    pid = int(owner.partition("-")[0])
    if pid == os.getpid():
        return owner == _PROCESS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
