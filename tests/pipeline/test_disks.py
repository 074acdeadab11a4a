"""Roots that are full, cannot be written, were moved, are of another time or of an older version."""

import contextlib
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import code, lineage_text, runner
from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.lineage import trace
from pipeline.metadata import MetadataStore, StoreError
from tests.pipeline import fakes


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", folder], capture_output=True)
    except FileNotFoundError:
        pytest.skip("There is no command `mount`.")
    if mounted.returncode:
        pytest.skip(f"A small disk can only be mounted with the rights of root. Received: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def run(root: Path, seed: int = 0, **arguments: Any) -> runner.RunSummary:
    fakes.RAN.clear()
    return runner.run(fakes.STAGES, fakes.config(seed=seed), root, **arguments)


def fill(file: Path) -> None:
    """Takes all the room there is."""
    with file.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    assert shutil.disk_usage(file.parent).free == 0


def states(root: Path) -> list[tuple[str, str]]:
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        return database.execute("SELECT stage, state FROM executions ORDER BY id").fetchall()
    finally:
        database.close()


# ---- Full -----------------------------------------------------------------------------------------------------------


def write_too_much(root: Path) -> Callable[[], None]:
    def hook() -> None:
        (folder,) = (root / ".tmp").glob("*-trainer-*")
        (folder / "model" / "weights").write_bytes(b"x" * 1_000_000)

    return hook


def test_full_disk_in_a_stage_says_who_needs_room_and_how_much_there_is(disk: Path) -> None:
    fakes.HOOKS["trainer"] = write_too_much(disk)
    summary = run(disk)
    assert summary.status == "failed"
    text = str(summary.exception)
    assert text.startswith("Runner: trainer must have room for its outputs. Received: No space left on device")
    assert f"0.3 MB are free in {disk}" in text
    assert "Make room" in text


def test_full_disk_in_a_stage_leaves_nothing_of_it(disk: Path) -> None:
    fakes.HOOKS["trainer"] = write_too_much(disk)
    run(disk)
    assert not (disk / "trainer").exists()
    assert list((disk / ".tmp").iterdir()) == []
    assert states(disk) == [("example_gen", "complete"), ("trainer", "failed")]


def test_full_disk_in_a_stage_with_room_again_the_same_command_goes_on(disk: Path) -> None:
    fakes.HOOKS["trainer"] = write_too_much(disk)
    run(disk)
    fakes.HOOKS.clear()
    assert run(disk).status == "succeeded"
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]


def test_full_disk_does_not_hide_another_error(disk: Path) -> None:
    def hook() -> None:
        fill(disk / "ballast")
        raise ValueError("no luck")

    fakes.HOOKS["trainer"] = hook
    with pytest.raises(ValueError, match="no luck"):
        run(disk)


def test_full_disk_in_the_store_says_how_much_room_there_is(disk: Path) -> None:
    run(disk / "root", to_stage="example_gen")
    fill(disk / "ballast")
    with pytest.raises(
        Exception, match=r"metadata.sqlite must be writable\. Received: .*0\.0 MB are free there\. Make"
    ):
        run(disk / "root")
    assert fakes.RAN == []


def test_full_disk_before_a_new_root_is_made_is_refused(disk: Path) -> None:
    fill(disk / "ballast")
    with pytest.raises(UsageError, match=r"--root must be a folder that can be written .*0\.0 MB are free"):
        run(disk / "root")


def test_full_disk_when_a_stage_is_registered_registers_nothing_of_it(disk: Path) -> None:
    root, ballast = disk / "root", disk / "ballast"
    run(root, to_stage="example_gen")

    complete = MetadataStore.complete_execution

    def full(*arguments: Any) -> None:
        fill(ballast)
        complete(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetadataStore, "complete_execution", full)
        with pytest.raises(StoreError, match=r"metadata.sqlite must be writable\..* 0\.0 MB are free there"):
            run(root)
    with MetadataStore(root, read_only=True) as store:
        assert [one.stage for one in store.executions()] == ["example_gen"]
        assert store.runs()[-1].state == "interrupted"
    ballast.unlink()
    events: list[tuple[str, str]] = []
    summary = run(root, on_event=lambda event: events.append((event.name, event.status)))
    assert summary.status == "succeeded"
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]
    assert events[0] == ("trainer", "repaired")
    assert [path.name for path in (root / "trainer").iterdir()] == ["3"]


# ---- Read-only ------------------------------------------------------------------------------------------------------


@pytest.fixture
def read_only(disk: Path) -> Path:
    """A root with a run, which can be read only."""
    assert run(disk / "root").status == "succeeded"
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    return disk / "root"


def test_read_only_root_run_is_refused(read_only: Path) -> None:
    with pytest.raises(UsageError, match=r"--root must be a folder that can be written \(Read-only file system\)"):
        run(read_only)
    assert fakes.RAN == []


def test_read_only_disk_new_root_is_refused(read_only: Path) -> None:
    with pytest.raises(UsageError, match=r"--root must be a folder that can be written \(Read-only file system\)"):
        run(read_only.parent / "other")


def test_read_only_root_can_be_explained(read_only: Path) -> None:
    found = runner.explain(fakes.STAGES, fakes.config(seed=1), read_only)
    assert [one.reason for one in found[:2]] == ["unchanged", "trainer.seed 0 → 1"]


def test_read_only_root_without_a_cache_of_code_can_be_explained(disk: Path) -> None:
    run(disk)
    (disk / ".code.json").unlink()
    code._read_cache.cache_clear()  # as in a new process
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    found = runner.explain(fakes.STAGES, fakes.config(), disk)
    assert {one.reason for one in found} == {"unchanged"}


def test_read_only_root_lists_its_runs(read_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--root", str(read_only)]) == 0
    assert "succeeded" in capsys.readouterr().out


def test_read_only_root_tells_lineage(read_only: Path) -> None:
    found = trace(read_only / "serving" / "fake" / "1")
    assert found is not None
    assert found.maker.stage == "pusher"


def test_read_only_root_gc_lists_and_refuses_to_remove(read_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--root", str(read_only)]) == 0
    assert main(["gc", "--root", str(read_only), "--delete"]) != 0
    assert "Read-only file system" in capsys.readouterr().err


# ---- Another time, another place ------------------------------------------------------------------------------------


def test_clock_set_back_is_cached_by_order_of_execution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    run(tmp_path, seed=0)
    monkeypatch.setattr(time, "time", lambda: now - 86_400)
    run(tmp_path, seed=1)
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]
    run(tmp_path, seed=2, from_stage="evaluator")  # reads the newest model
    assert fakes.RAN == []
    with MetadataStore(tmp_path, read_only=True) as store:
        newest = store.newest_execution("trainer")
        assert newest is not None
        assert newest.properties["settings"]["trainer"]["seed"] == 1
        assert [record.id for record in store.runs()] == [1, 2, 3]


def test_clock_set_back_during_a_run_gives_no_negative_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    fakes.HOOKS["trainer"] = lambda: monkeypatch.setattr(time, "time", lambda: now - 86_400)
    summary = run(tmp_path)
    assert all(stage.seconds >= 0 for stage in summary.stages)
    with MetadataStore(tmp_path, read_only=True) as store:
        assert all(one.seconds >= 0 for one in store.executions())
        assert all(record.seconds is not None and record.seconds >= 0 for record in store.runs())


def test_clock_set_back_lineage_is_in_the_order_of_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    fakes.HOOKS["trainer"] = lambda: monkeypatch.setattr(time, "time", lambda: now - 86_400)
    run(tmp_path)
    found = trace(tmp_path / "trainer" / "2" / "model")
    assert found is not None
    assert [one.id for one in (*found.before, found.maker, *found.after)] == [1, 2, 3, 4]


def test_moved_root_is_cached_as_a_whole(tmp_path: Path) -> None:
    run(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert run(tmp_path / "b").status == "succeeded"
    assert fakes.RAN == []


def test_moved_root_knows_its_lineage(tmp_path: Path) -> None:
    run(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    found = trace(tmp_path / "b" / "trainer" / "2" / "model")
    assert found is not None
    assert str(tmp_path / "a") not in lineage_text.as_json(found)
    assert all(artifact.path.is_dir() for artifact in found.maker.outputs.values())


def test_copied_root_does_not_write_to_the_first(tmp_path: Path) -> None:
    run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")}
    summary = run(tmp_path / "b", seed=1)
    assert all(path.is_relative_to(tmp_path / "b") for stage in summary.stages for path in stage.outputs.values())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*")} == before


# ---- Of an older version --------------------------------------------------------------------------------------------

# What version 1 wrote: no properties, and an owner that named a process.
VERSION_1 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, config_path TEXT NOT NULL, config TEXT NOT NULL,
    started REAL NOT NULL, seconds REAL, state TEXT NOT NULL, owner TEXT NOT NULL);
CREATE TABLE executions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, stage TEXT NOT NULL, fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'not_blessed')),
    started REAL NOT NULL, seconds REAL, error TEXT, owner TEXT NOT NULL);
CREATE INDEX executions_by_fingerprint ON executions (fingerprint);
CREATE TABLE artifacts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL,
    UNIQUE (path, digest));
CREATE TABLE events (
    execution_id INTEGER NOT NULL REFERENCES executions (id),
    artifact_id INTEGER NOT NULL REFERENCES artifacts (id),
    key TEXT NOT NULL, direction TEXT NOT NULL CHECK (direction IN ('input', 'output')),
    PRIMARY KEY (execution_id, direction, key));
CREATE TABLE run_stages (
    run_id INTEGER NOT NULL REFERENCES runs (id), position INTEGER NOT NULL, stage TEXT NOT NULL,
    status TEXT NOT NULL, seconds REAL NOT NULL, execution_id INTEGER REFERENCES executions (id),
    PRIMARY KEY (run_id, position));
PRAGMA user_version = 1;
"""
ROWS = {
    "runs": "id, config_path, config, started, seconds, state, '41-0a1b2c3d'",
    "executions": "id, stage, fingerprint || 'old', state, started, seconds, error, '41-0a1b2c3d'",
    "artifacts": "*",
    "events": "*",
    "run_stages": "*",
}


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A root that version 1 wrote: the same rows in its tables, and a run that was switched off."""
    run(tmp_path)
    file = tmp_path / "metadata.sqlite"
    file.rename(tmp_path / "now.sqlite")
    database = sqlite3.connect(file)
    database.executescript(VERSION_1)
    database.execute("ATTACH ? AS now", (str(tmp_path / "now.sqlite"),))
    for table, columns in ROWS.items():
        database.execute(f"INSERT INTO main.{table} SELECT {columns} FROM now.{table}")
    database.execute("INSERT INTO runs VALUES (2, 'x.yaml', '{}', 1.0, NULL, 'running', '41-0a1b2c3d')")
    database.execute("INSERT INTO executions VALUES (5, 'trainer', 'f', 'running', 1.0, NULL, NULL, '41-0a1b2c3d')")
    database.commit()
    database.close()
    (tmp_path / "now.sqlite").unlink()
    return tmp_path


def version(root: Path) -> int:
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        return int(database.execute("PRAGMA user_version").fetchone()[0])
    finally:
        database.close()


def test_older_store_is_brought_up_to_date_by_a_run(older: Path) -> None:
    events: list[tuple[str, str, str]] = []
    summary = run(older, on_event=lambda event: events.append((event.name, event.status, event.reason)))
    assert version(older) == 2
    assert summary.status == "succeeded"
    assert [one.reason for one in summary.stages] == ["made by an older version of this program"] * 4
    assert [event[:2] for event in events if event[1] == "repaired"] == [("trainer", "repaired")]
    with MetadataStore(older, read_only=True) as store:
        assert [record.state for record in store.runs()] == ["succeeded", "interrupted", "succeeded"]
        assert [one.id for one in store.executions()] == [1, 2, 3, 4, 6, 7, 8, 9]


def test_older_store_then_is_cached(older: Path) -> None:
    run(older)
    run(older)
    assert fakes.RAN == []


def test_older_store_runs_are_listed_without_changing_it(older: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (older / "metadata.sqlite").read_bytes()
    assert main(["runs", "--root", str(older)]) == 0
    out = capsys.readouterr().out
    assert "succeeded" in out
    assert "interrupted" in out
    assert (older / "metadata.sqlite").read_bytes() == before


def test_older_store_lineage_is_told_without_changing_it(older: Path) -> None:
    before = (older / "metadata.sqlite").read_bytes()
    found = trace(older / "trainer" / "2" / "model")
    assert found is not None
    assert [one.id for one in (*found.before, found.maker, *found.after)] == [1, 2, 3, 4]
    text = lineage_text.as_text(found)
    assert "trainer 2, " in text
    assert ", code " not in text  # which version 1 did not keep
    assert (older / "metadata.sqlite").read_bytes() == before


def test_older_store_is_explained_without_changing_it(older: Path) -> None:
    before = (older / "metadata.sqlite").read_bytes()
    found = runner.explain(fakes.STAGES, fakes.config(), older)
    assert found[0].reason == "made by an older version of this program"
    assert (older / "metadata.sqlite").read_bytes() == before


def test_older_store_that_cannot_be_changed_halfway_stays_what_it_was(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halfway(database: sqlite3.Connection) -> None:
        database.execute("ALTER TABLE executions ADD COLUMN properties TEXT NOT NULL DEFAULT '{}'")
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.metadata.migrate", halfway)
        with pytest.raises(UsageError, match="disk I/O error"):
            run(older)
    assert version(older) == 1
    assert run(older).status == "succeeded"
