"""The tables of the lineage store, shaped like ML Metadata's, and how those of older versions become these."""

from __future__ import annotations

import sqlite3

SCHEMA_VERSION = 2
# Times are seconds since 1970; durations are seconds. `owner` is the lock that whoever runs it holds while it lives.
# `properties` is JSON: what the fingerprint is made of, and the versions of libraries.
_SCHEMA = (
    """CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, config_path TEXT NOT NULL, config TEXT NOT NULL,
        started REAL NOT NULL, seconds REAL, state TEXT NOT NULL, owner TEXT NOT NULL)""",
    """CREATE TABLE executions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, stage TEXT NOT NULL, fingerprint TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'not_blessed')),
        started REAL NOT NULL, seconds REAL, error TEXT, owner TEXT NOT NULL,
        properties TEXT NOT NULL DEFAULT '{}')""",
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
# Version of a store → what makes the next one of it.
_MIGRATIONS = {1: ("ALTER TABLE executions ADD COLUMN properties TEXT NOT NULL DEFAULT '{}'",)}


def version_of(database: sqlite3.Connection) -> int:
    """The version of a store's tables; 0 if it has none yet."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def migrate(database: sqlite3.Connection) -> None:
    """Makes the tables of a new store, or brings those of an older one up to date, in a transaction of the caller."""
    version = version_of(database)  # read in it: another process may have been quicker
    steps = _MIGRATIONS.values() if version else [_SCHEMA]
    for step in list(steps)[max(version - 1, 0) :]:
        for statement in step:
            database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
