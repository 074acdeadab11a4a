"""The lineage store: what is kept, and which files it refuses."""

import os
import sqlite3
from pathlib import Path

import pytest

from pipeline import runner
from pipeline.errors import UsageError
from pipeline.metadata import MetadataStore, StoredArtifact
from tests.pipeline import fakes


def query(root: Path, statement: str) -> list[tuple[object, ...]]:
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        return database.execute(statement).fetchall()
    finally:
        database.close()


def test_store_events_link_inputs_to_the_outputs_they_were(tmp_path: Path) -> None:
    runner.run(fakes.STAGES, fakes.config(), tmp_path)
    rows = query(
        tmp_path,
        "SELECT a.path, e.stage, v.direction FROM events v JOIN artifacts a ON a.id = v.artifact_id "
        "JOIN executions e ON e.id = v.execution_id WHERE a.type = 'Model' ORDER BY e.id",
    )
    assert rows == [
        ("trainer/2/model", "trainer", "output"),
        ("trainer/2/model", "evaluator", "input"),
        ("trainer/2/model", "pusher", "input"),
    ]


def test_store_running_or_failed_execution_is_not_reusable(tmp_path: Path) -> None:
    with MetadataStore(tmp_path) as store:
        execution = store.start_execution("trainer", "f")
        assert store.newest_execution("trainer", "f") is None
        store.fail_execution(execution, 1.0, "no luck")
        assert store.newest_execution("trainer", "f") is None
        again = store.start_execution("trainer", "f")
        store.complete_execution(again, 1.0, {}, {"model": StoredArtifact("Model", tmp_path / "m", "d")})
        found = store.newest_execution("trainer", "f")
    assert found is not None
    assert found.id == again
    assert found.outputs["model"].path == tmp_path / "m"


def test_store_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with MetadataStore(tmp_path) as store:
        artifact = StoredArtifact("Model", tmp_path / "m", "d")
        with pytest.raises(sqlite3.IntegrityError):
            store.complete_execution(99, 1.0, {}, {"model": artifact})  # no such execution
    assert query(tmp_path, "SELECT * FROM artifacts") == []


def test_store_execution_of_a_live_process_is_left_alone(tmp_path: Path) -> None:
    with MetadataStore(tmp_path) as store:
        store.start_execution("trainer", "f")
        store.fail_dead()
        assert store.execution_ids("running") == {1}
        store._database.execute("UPDATE executions SET owner = ?", (f"{os.getpid()}-earlier",))
        store.fail_dead()
        assert store.execution_ids("running") == set()


def test_store_newer_schema_is_refused(tmp_path: Path) -> None:
    MetadataStore(tmp_path).close()
    database = sqlite3.connect(tmp_path / "metadata.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(UsageError, match=r"newer version of this program\. Received: schema version 99"):
        MetadataStore(tmp_path)


def test_store_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.sqlite").write_text("not a database, but long enough to be read as one" * 50)
    with pytest.raises(UsageError, match="is no lineage store"):
        MetadataStore(tmp_path)


def test_store_read_only_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        MetadataStore(tmp_path, read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_store_read_only_of_a_file_without_tables_is_empty(tmp_path: Path) -> None:
    (tmp_path / "metadata.sqlite").touch()  # what its first writer leaves if it is killed at once
    with MetadataStore(tmp_path, read_only=True) as store:
        assert (store.runs(), store.executions(), store.newest_execution("trainer")) == ([], [], None)
    assert (tmp_path / "metadata.sqlite").read_bytes() == b""
