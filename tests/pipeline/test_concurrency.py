"""Two processes over one root at the same time: nothing is done twice, lost or mixed up."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import runner
from pipeline.files import digest_folder
from pipeline.metadata import MetadataStore
from tests.pipeline import fakes
from tests.pipeline.children import Child, started

ROUNDS = 20
# Runs the pipeline with each seed that it is told, and says what came of it.
RUNNER = """
import json, pathlib, sys
from pipeline import runner
from tests.pipeline import fakes
root = pathlib.Path(sys.argv[1])
for line in sys.stdin:
    fakes.RAN.clear()
    summary = runner.run(fakes.STAGES, fakes.config(seed=int(line)), root)
    model = summary.output("model", "model.json")
    said = {
        "status": summary.status,
        "error": str(summary.exception),
        "ran": fakes.RAN,
        "model": model and model.read_text(),
        "outputs": {key: str(path) for stage in summary.stages for key, path in stage.outputs.items()},
    }
    print(json.dumps(said), flush=True)
"""
# Runs it once, tells what happens, and stops in the trainer until it is told to go on.
TALKER = """
import pathlib, sys
from pipeline import runner
from tests.pipeline import fakes
def tell(result):
    if result.name == "trainer":
        print(result.status, result.reason, flush=True)
fakes.HOOKS["trainer"] = lambda: (print("in trainer", flush=True), sys.stdin.readline())
print(runner.run(fakes.STAGES, fakes.config(), pathlib.Path(sys.argv[1]), on_event=tell).status, flush=True)
"""
WAITING = "running another run is at it; waiting"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def two(root: Path) -> Iterator[list[Child]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(started(RUNNER, root)) for _ in range(2)]


def answers(children: list[Child], *seeds: int) -> list[dict[str, Any]]:
    for child, seed in zip(children, seeds, strict=True):
        child.tell(str(seed))
    return [json.loads(child.hear()) for child in children]


def check_store(root: Path) -> None:
    """One complete execution for each fingerprint, each with outputs as they were written, and nothing besides."""
    with MetadataStore(root, read_only=True) as store:
        executions = store.executions()
        assert store.execution_ids("running", "failed", "not_blessed") == set()
        assert {record.state for record in store.runs()} == {"succeeded"}
    assert Counter(one.fingerprint for one in executions).most_common(1)[0][1] == 1
    for one in executions:
        assert all(digest_folder(artifact.path) == artifact.digest for artifact in one.outputs.values())
    folders = [f"{file.parent.parent.name}/{file.parent.name}" for file in root.glob("*/*/execution.json")]
    assert sorted(folders) == sorted(f"{one.stage}/{one.id}" for one in executions)
    assert list((root / ".tmp").iterdir()) == []
    database = sqlite3.connect(root / "metadata.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_two_runs_of_the_same_do_each_stage_once_in_each_of_twenty_rounds(root: Path, two: list[Child]) -> None:
    for seed in range(ROUNDS):
        first, second = answers(two, seed, seed)
        assert (first["status"], second["status"]) == ("succeeded", "succeeded"), (first["error"], second["error"])
        expected = fakes.NAMES if seed == 0 else ["trainer", "evaluator", "pusher"]
        assert sorted([*first["ran"], *second["ran"]]) == sorted(expected)
        assert first["outputs"] == second["outputs"]
        assert first["model"] == json.dumps(["inline:hello", seed])
    check_store(root)


def test_two_runs_of_different_seeds_get_each_its_own_model(root: Path, two: list[Child]) -> None:
    corpora = 0
    for seed in range(0, 2 * ROUNDS, 2):
        first, second = answers(two, seed, seed + 1)
        assert (first["status"], second["status"]) == ("succeeded", "succeeded"), (first["error"], second["error"])
        assert (first["model"], second["model"]) == tuple(json.dumps(["inline:hello", s]) for s in (seed, seed + 1))
        assert first["ran"][-3:] == second["ran"][-3:] == ["trainer", "evaluator", "pusher"]
        corpora += len(first["ran"]) + len(second["ran"]) - 6
    assert corpora == 1  # read once, by whichever came first
    check_store(root)


def test_second_run_waits_is_told_and_finds_what_the_first_did(root: Path) -> None:
    with started(TALKER, root) as first:
        assert [first.hear(), first.hear()] == ["running first time", "in trainer"]
        with started(TALKER, root) as second:
            assert second.hear() == WAITING
            first.tell()
            assert first.hear() == "ran first time"
            assert second.hear() == "cached "
            assert (first.hear(), second.hear()) == ("succeeded", "succeeded")
    check_store(root)


def test_first_run_killed_while_the_second_waits_second_does_it(root: Path) -> None:
    with started(TALKER, root) as first:
        assert [first.hear(), first.hear()] == ["running first time", "in trainer"]
        with started(TALKER, root) as second:
            assert second.hear() == WAITING
            first.kill()
            assert [second.hear(), second.hear()] == ["running first time", "in trainer"]
            second.tell()
            assert [second.hear(), second.hear()] == ["ran first time", "succeeded"]
    events: list[tuple[str, str]] = []
    runner.run(fakes.STAGES, fakes.config(), root, on_event=lambda event: events.append((event.name, event.status)))
    assert events == [("trainer", "repaired"), *((name, "cached") for name in fakes.NAMES)]
    with MetadataStore(root, read_only=True) as store:
        assert [record.state for record in store.runs()] == ["interrupted", "succeeded", "succeeded"]
        assert [one.stage for one in store.executions()] == fakes.NAMES
    assert list((root / ".tmp").iterdir()) == []
    assert [path.name for path in (root / "trainer").iterdir()] == ["3"]


def test_second_run_killed_while_it_waits_first_ends_well(root: Path) -> None:
    with started(TALKER, root) as first:
        assert [first.hear(), first.hear()] == ["running first time", "in trainer"]
        with started(TALKER, root) as second:
            assert second.hear() == WAITING
            second.kill()
        first.tell()
        assert [first.hear(), first.hear()] == ["ran first time", "succeeded"]
    with MetadataStore(root, read_only=True) as store:
        assert [record.state for record in store.runs()] == ["succeeded", "interrupted"]
        assert [one.stage for one in store.executions()] == fakes.NAMES


def test_run_beside_another_leaves_what_that_is_writing(root: Path) -> None:
    with started(TALKER, root) as first:
        assert [first.hear(), first.hear()] == ["running first time", "in trainer"]
        events: list[str] = []
        other = fakes.config(source="inline:other", seed=8)
        summary = runner.run(fakes.STAGES, other, root, on_event=lambda event: events.append(event.status))
        assert summary.status == "succeeded"
        assert "repaired" not in events
        first.tell()
        assert [first.hear(), first.hear()] == ["ran first time", "succeeded"]
    check_store(root)
