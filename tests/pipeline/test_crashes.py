"""A process that is killed at any moment leaves every artifact whole or absent, and the next run puts all in order."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import code, runner
from pipeline.metadata import MetadataStore
from pipeline.summary import StageResult
from tests.pipeline import fakes
from tests.pipeline.children import Child, started

SERVER = "import runpy; runpy.run_module('tests.pipeline.crashing', run_name='__main__')"
SEED = 3  # of the run that is to end well at last


@dataclasses.dataclass(frozen=True)
class Crash:
    """A process killed at one point, and what the next run made of it.

    Attributes:
        point: Where it was killed.
        readable: Whether the store could be read before anything had repaired it.
        running: Executions that it left running.
        repaired: Executions that the next run said it repaired.
        status: How the next run ended.
        outputs: Path in the outputs, and in what is served → bytes, after it.
        leftovers: What lies in the root and belongs to no complete execution.
        store: What SQLite says of the store's integrity, and the executions that still run.
        ran: Stages that the run after that ran.
    """

    point: str
    readable: bool
    running: set[int]
    repaired: set[int]
    status: str
    outputs: dict[str, bytes]
    leftovers: list[str]
    store: tuple[str, set[int]]
    ran: list[str]


def run(root: Path) -> tuple[runner.RunSummary, list[StageResult]]:
    events: list[StageResult] = []
    fakes.RAN.clear()
    return runner.run(fakes.STAGES, fakes.config(seed=SEED), root, on_event=events.append), events


def contents(summary: runner.RunSummary) -> dict[str, bytes]:
    folders = {key: path for stage in summary.stages for key, path in stage.outputs.items()}
    folders["serving"] = summary.root / "serving"
    files = ((key, folder, file) for key, folder in folders.items() for file in folder.rglob("*") if file.is_file())
    return {f"{key}/{file.relative_to(folder)}": file.read_bytes() for key, folder, file in files}


def left_over(root: Path) -> list[str]:
    with MetadataStore(root, read_only=True) as store:
        complete = {f"{one.stage}/{one.id}" for one in store.executions()}
    known = {"logs", "serving", ".tmp", ".code.json", "metadata.sqlite", *fakes.NAMES}
    found = [path.name for path in root.iterdir() if path.name not in known]
    found += [str(path.relative_to(root)) for path in (root / ".tmp").iterdir()]
    executions = [str(path.relative_to(root)) for name in fakes.NAMES for path in (root / name).glob("*")]
    return found + [path for path in executions if path not in complete]


def running(root: Path, aside: Path) -> set[int]:
    """Executions that a killed process left running, read from a copy: SQLite repairs what it opens."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for file in root.glob("metadata.sqlite*"):
        shutil.copy(file, aside)
    if not (aside / "metadata.sqlite").exists():
        return set()
    database = sqlite3.connect(aside / "metadata.sqlite")
    try:
        tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'executions'").fetchall()
        rows = database.execute("SELECT id FROM executions WHERE state = 'running'") if tables else ()
        return {row[0] for row in rows}
    finally:
        database.close()


def is_readable(root: Path) -> bool:
    """Whether the commands that only read can: `runs`, `lineage`, `run --explain`."""
    if not (root / "metadata.sqlite").exists():
        return True
    try:
        with MetadataStore(root, read_only=True) as store:
            store.runs()
            store.executions()
    except sqlite3.Error:
        return False
    return True


def integrity(root: Path) -> tuple[str, set[int]]:
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        (result,) = database.execute("PRAGMA integrity_check").fetchone()
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        database.close()
    with MetadataStore(root, read_only=True) as store:
        return result, store.execution_ids("running")


def ask(server: Child, root: Path, at: int | None, what: str = "run", seed: int = SEED) -> dict[str, Any]:
    server.tell(json.dumps({"root": str(root), "what": what, "seed": seed, "at": at}))
    answer: dict[str, Any] = json.loads(server.hear())
    return answer


@pytest.fixture(scope="module")
def server() -> Iterator[Child]:
    with started(SERVER) as child:
        yield child


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("first run", "changed setting", "repair")]


@pytest.fixture(scope="module", params=["collect", *SLOW])
def crashes(request: pytest.FixtureRequest, server: Child, tmp_path_factory: pytest.TempPathFactory) -> list[Crash]:
    """Kills a process at every point: in a new root; in one with other runs; in the repair after a kill; in gc."""
    folder = tmp_path_factory.mktemp("crashes")
    before, what = folder / "before", "collect" if request.param == "collect" else "run"
    before.mkdir()
    (folder / "probe").mkdir()
    if request.param == "repair":
        points = ask(server, folder / "probe", None)["points"]
        # Killed between the rename of what the trainer wrote and its registration: the most there is to repair.
        moment = max(
            i for i, point in enumerate(points) if point.startswith("os.rename /.tmp/") and "-trainer-" in point
        )
        assert ask(server, before, moment + 1)["killed"]
        assert (before / "trainer" / "2").is_dir()
        assert running(before, folder / "aside") == {2}
    elif request.param != "first run":
        for seed in (0, 1):
            ask(server, before, None, seed=seed)
    shutil.copytree(before, folder / "undisturbed")
    count = len(ask(server, folder / "undisturbed", None, what)["points"])
    found = []
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(code, "_parse", functools.cache(code._parse))  # each root would parse all anew
    for at in range(count):
        root = folder / "root"
        shutil.copytree(before, root)
        answer = ask(server, root, at, what)
        assert answer["killed"]
        left, readable = running(root, folder / "aside"), is_readable(root)
        summary, events = run(root)
        repaired = {int(event.reason.split()[1]) for event in events if event.status == "repaired"}
        rest = (summary.status, contents(summary), left_over(root), integrity(root))
        run(root)
        found.append(Crash(f"{at}: {answer['points'][-1]}", readable, left, repaired, *rest, list(fakes.RAN)))
        shutil.rmtree(root)
    monkeypatch.undo()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    summary, _ = run(tmp_path_factory.mktemp("undisturbed"))
    assert summary.status == "succeeded"
    return contents(summary)


def test_crash_points_are_many_and_of_all_kinds(crashes: list[Crash]) -> None:
    kinds = {crash.point.split()[1] for crash in crashes}
    assert kinds >= {"open", "os.rename", "os.remove", "fcntl.flock"}
    assert len(crashes) >= 25


def test_crash_anywhere_next_run_succeeds(crashes: list[Crash]) -> None:
    assert [crash.point for crash in crashes if crash.status != "succeeded"] == []


def test_crash_anywhere_outputs_equal_those_of_an_undisturbed_run(
    crashes: list[Crash], undisturbed: dict[str, bytes]
) -> None:
    assert len(undisturbed) >= 6
    assert [crash.point for crash in crashes if crash.outputs != undisturbed] == []


def test_crash_anywhere_leaves_nothing_behind(crashes: list[Crash]) -> None:
    assert [(crash.point, crash.leftovers) for crash in crashes if crash.leftovers] == []


def test_crash_anywhere_store_is_consistent_and_nothing_still_runs(crashes: list[Crash]) -> None:
    assert [crash.point for crash in crashes if crash.store != ("ok", set())] == []


def test_crash_anywhere_run_says_what_it_repaired(crashes: list[Crash]) -> None:
    assert [crash.point for crash in crashes if crash.repaired != crash.running] == []


def test_crash_anywhere_store_can_be_read_before_the_next_run(crashes: list[Crash]) -> None:
    assert [crash.point for crash in crashes if not crash.readable] == []


def test_crash_anywhere_run_after_the_next_is_cached(crashes: list[Crash]) -> None:
    assert [crash.point for crash in crashes if crash.ran] == []
