"""A real pipeline that is killed again and again, in each of its stages, ends with what an undisturbed one makes."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.artifacts import contents, differences
from tests.end_to_end.command_line import REPOSITORY, run_json, statuses

pytestmark = pytest.mark.slow

HELLO = [
    "--config", "hello", "--set", "infra_validator.servers=false",
    "--set", "trainer.epochs=60", "--set", "trainer.evaluate_every=20",
    "--set", "trainer.save_every_steps=7", "--set", "evaluator.thresholds.nats.upper=100",
]  # fmt: skip
PUBLISH, COMPLETE = "pipeline.attempt:_publish", "pipeline.metadata:MetadataStore.complete_execution"
CHECKPOINTS, TRAINING = "components.trainer.checkpoints", "components.trainer.training:Training"
# One after the other in one root, each run goes on with what the one before left: the stage whose execution is cut
# short, and before or after which call of the run.
KILLS = [
    ("example_gen", "before", PUBLISH, 1),  # all is written, the marker is not
    (None, "after", COMPLETE, 2),  # statistics_gen is registered, and the run does not know it
    ("schema_gen", "before", COMPLETE, 1),  # in its place, not registered
    ("transform", "before", "components.transform.stage:Transform._layout", 1),
    ("trainer", "before", f"{CHECKPOINTS}:CheckpointStore.save", 1),  # nothing to go on from
    ("trainer", "before", f"{TRAINING}._take", 25),  # between two steps
    ("trainer", "before", f"{CHECKPOINTS}:encode", 1),  # a checkpoint that is torn
    ("trainer", "before", f"{CHECKPOINTS}:sync_folder", 2),  # one that is whole, the oldest not yet removed
    ("trainer", "before", f"{TRAINING}._diagnose", 1),  # in an evaluation
    ("trainer", "before", "components.trainer.loop:_show", 1),  # the weights are written
    ("evaluator", "before", PUBLISH, 2),
    (None, "after", COMPLETE, 1),  # the evaluation is registered
    ("exporter", "after", "subprocess:Popen.__init__", 1),  # its child goes on, alone
    ("exporter", "before", COMPLETE, 1),
    ("infra_validator", "before", PUBLISH, 2),
    ("pusher", "before", "shutil:copy2", 1),  # the copy lacks its graph
    ("pusher", "before", PUBLISH, 1),  # pushed, not recorded
]


def killed(root: Path, when: str, name: str, number: int) -> tuple[int, str, str]:
    """Runs the pipeline until it dies; returns exit code, stdout and stderr."""
    line = [sys.executable, "-m", "tests.end_to_end.crashing", when, name, str(number), "run", "--root", str(root)]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([*line, *HELLO], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def left_running(root: Path) -> str | None:
    """The stage whose execution is said to run; one at most."""
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        rows = database.execute("SELECT stage FROM executions WHERE state = 'running'").fetchall()
    finally:
        database.close()
    assert len(rows) <= 1
    return rows[0][0] if rows else None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_json("--root", tmp_path_factory.mktemp("undisturbed"), *HELLO)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose run was killed at each of the points, and went on each time."""
    folder = tmp_path_factory.mktemp("killed")
    before = None
    for stage, when, name, number in KILLS:
        code, out, err = killed(folder, when, name, number)
        assert code == -signal.SIGKILL, f"not killed {when} call {number} of {name}:\n{out}\n{err}"
        assert left_running(folder) == stage
        repaired = [line.split()[0] for line in out.splitlines() if "ended without a word" in line]
        assert repaired == ([] if before is None else [before])
        before = stage
    return folder


@pytest.fixture(scope="module")
def recovered(root: Path) -> dict[str, Any]:
    return run_json("--root", root, *HELLO)


def test_run_after_all_kills_ends_well_with_the_last_stage_alone(recovered: dict[str, Any]) -> None:
    assert recovered["status"] == "succeeded"
    assert list(statuses(recovered).values()) == ["cached"] * 9 + ["ran"]


def test_run_after_all_kills_made_what_an_undisturbed_one_makes(
    undisturbed: dict[str, Any], recovered: dict[str, Any]
) -> None:
    expected, found = contents(undisturbed), contents(recovered)
    assert {name.partition("/")[0].partition(":")[0] for name in expected} >= {
        "examples", "statistics", "schema", "anomalies", "transform_graph", "transformed_examples", "model",
        "evaluation", "blessing", "exported_model", "infra_blessing", "pushed_model", "served",
    }  # fmt: skip
    assert differences(expected, found) == []
    assert undisturbed["metrics"] == recovered["metrics"]


def test_run_after_all_kills_leaves_a_consistent_store_and_nothing_else(root: Path, recovered: dict[str, Any]) -> None:
    again = run_json("--root", root, *HELLO)
    assert set(statuses(again).values()) == {"cached"}
    assert list((root / ".tmp").iterdir()) == []
    assert not (root / "checkpoints").exists()
    assert [path.name for path in (root / "serving" / "hello").iterdir()] == ["1"]
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        complete = {f"{stage}/{number}" for stage, number in database.execute(
            "SELECT stage, id FROM executions WHERE state = 'complete'"
        )}  # fmt: skip
        assert database.execute("SELECT count(*) FROM executions WHERE state = 'running'").fetchall() == [(0,)]
        interrupted = database.execute("SELECT count(*) FROM runs WHERE state = 'interrupted'").fetchall()
    finally:
        database.close()
    assert interrupted == [(len(KILLS),)]
    folders = {f"{file.parent.parent.name}/{file.parent.name}" for file in root.glob("*/*/execution.json")}
    assert folders == complete
