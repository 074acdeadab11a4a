"""Stages that begin before their turn, in a process of their own, while the stages before them are at work."""

import dataclasses
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from pipeline import artifacts, runner, session
from pipeline.code import SOURCE_ROOT
from pipeline.config import Config, TrainerConfig
from pipeline.decision import decide
from pipeline.errors import NotBlessed, UsageError
from pipeline.files import digest_folder
from pipeline.locks import locked
from pipeline.metadata import MetadataStore
from pipeline.stage import Stage
from pipeline.summary import RunSummary, StageResult
from tests.pipeline import fakes
from tests.processes import fresh_environment, wait_until

SECONDS = 60.0


class UnsendableError(Exception):
    """An exception that cannot be made again of its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


ERRORS = {
    "usage": UsageError("Transform: the corpus must be better."),
    "full": OSError(errno.ENOSPC, "No space left on device", "tokens"),
    "unsendable": UnsendableError(1, 2),
    "garbled": NotBlessed(["It is bad."]),
}


@dataclasses.dataclass(frozen=True)
class Statistics(Stage):
    """Comes before the one that begins ahead of it; does what `HOOKS` say, and may refuse."""

    inputs: ClassVar = {"examples": artifacts.Examples}
    outputs: ClassVar = {"statistics": artifacts.ExampleStatistics}

    def refusals(self, outputs: Mapping[str, Path], root: Path) -> list[str]:
        return list(fakes.REFUSALS)

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["statistics"] / "process").write_text(str(os.getpid()))
        fakes.HOOKS.get("statistics", lambda: None)()


@dataclasses.dataclass(frozen=True)
class Transform(Stage):
    """Begins ahead. What else it does, files in the root say, since it may be in another process than the test."""

    trainer: TrainerConfig
    inputs: ClassVar = {"examples": artifacts.Examples}
    outputs: ClassVar = {"transform_graph": artifacts.TransformGraph}
    ahead: ClassVar[bool] = True

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["transform_graph"] / "text").write_text((inputs["examples"] / "documents.txt").read_text())
        sys.stdout.write("not for stdout\n")
        sys.stderr.write("a warning from afar\n")
        (root / "began").write_text(str(os.getpid()))
        wish = (root / "wish").read_text() if (root / "wish").exists() else ""
        if wish == "wait":
            time.sleep(SECONDS)
        elif wish == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif wish == "pieces":
            os.write(2, b"50 %\r\xe2")
            time.sleep(0.3)
            os.write(2, b"\x86\x92 100 %\n")
        elif wish in ERRORS:
            raise ERRORS[wish]


@dataclasses.dataclass(frozen=True)
class Trainer(Stage):
    """Comes after both."""

    inputs: ClassVar = {"transform_graph": artifacts.TransformGraph}
    outputs: ClassVar = {"model": artifacts.Model}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["model"] / "model").write_text((inputs["transform_graph"] / "text").read_text())


STAGES = (fakes.ExampleGen, Statistics, Transform, Trainer)


@pytest.fixture(autouse=True)
def _small_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_WORTH_A_PROCESS", 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root; the stage before goes on when the one that is ahead of its turn has begun."""
    root = tmp_path / "root"
    root.mkdir()
    fakes.HOOKS["statistics"] = lambda: wait_until(lambda: (root / "began").exists() and (root / "began").read_text())
    return root


def run(root: Path, stages: tuple[type[Stage], ...] = STAGES, **arguments: Any) -> RunSummary:
    return runner.run(stages, fakes.config(), root, **arguments)


def statuses(summary: RunSummary) -> list[str]:
    return [stage.status for stage in summary.stages]


def began(root: Path) -> int:
    return int((root / "began").read_text())


def states(root: Path) -> dict[str, str]:
    """Stage → how its newest execution ended."""
    database = sqlite3.connect(root / "metadata.sqlite")
    try:
        return dict(database.execute("SELECT stage, state FROM executions ORDER BY id"))
    finally:
        database.close()


def assert_nothing_is_left(root: Path) -> None:
    assert list((root / ".tmp").iterdir()) == []
    wait_until(lambda: not psutil.pid_exists(began(root)))


def test_both_are_at_work_at_once(root: Path) -> None:
    summary = run(root)  # the first of them waits for the other
    assert statuses(summary) == ["ran"] * 4
    assert began(root) != os.getpid()
    assert [stage.name for stage in summary.stages] == ["example_gen", "statistics", "transform", "trainer"]
    assert summary.stages[3].outputs["model"].joinpath("model").read_text() == "inline:hello"
    assert_nothing_is_left(root)
    assert statuses(run(root)) == ["cached"] * 4


def test_outputs_and_lineage_are_those_of_one_after_the_other(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = run(root)
    monkeypatch.setattr(session, "_WORTH_A_PROCESS", 1 << 20)
    fakes.HOOKS.clear()
    alone = run(tmp_path / "alone")
    assert began(tmp_path / "alone") == os.getpid()  # less to read: not worth a process
    for one, other in zip(beside.stages, alone.stages, strict=True):
        assert one.outputs.keys() == other.outputs.keys()
        for key in one.outputs.keys() - {"statistics"}:  # which hold the process
            assert digest_folder(one.outputs[key]) == digest_folder(other.outputs[key])
    with MetadataStore(root, read_only=True) as store, MetadataStore(tmp_path / "alone", read_only=True) as second:
        execution, expected = store.newest_execution("transform"), second.newest_execution("transform")
        assert execution is not None
        assert expected is not None
        assert execution.fingerprint == expected.fingerprint
        assert execution.inputs["examples"].digest == expected.inputs["examples"].digest


def test_stage_that_may_not_begin_ahead_waits_for_its_turn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transform, "ahead", False)
    fakes.HOOKS["statistics"] = lambda: (_ for _ in ()).throw(AssertionError) if (root / "began").exists() else None
    assert statuses(run(root)) == ["ran"] * 4
    assert began(root) == os.getpid()


def test_what_it_says_is_shown_at_its_turn_and_kept_in_its_log(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def seen() -> None:
        wait_until((root / "began").exists)
        assert "a warning from afar" not in capfd.readouterr().err

    fakes.HOOKS["statistics"] = seen
    summary = run(root)
    assert statuses(summary) == ["ran"] * 4
    out, err = capfd.readouterr()
    assert err.count("a warning from afar\n") == 1
    assert "not for stdout" not in out
    log = root / "logs" / f"transform-{summary.stages[2].execution_id}.log"
    assert log.read_text() == "a warning from afar\n"


def test_events_say_beside_which_stage_it_began(root: Path) -> None:
    events: list[StageResult] = []
    run(root, on_event=events.append)
    told = [(event.name, event.status, event.reason) for event in events if event.name in ("statistics", "transform")]
    assert told == [
        ("statistics", "running", "first time"),
        ("transform", "running", "first time; beside statistics"),
        ("statistics", "ran", "first time"),
        ("transform", "ran", "first time"),
    ]


def test_seconds_are_those_of_the_work_and_not_of_the_waiting_for_its_turn(root: Path) -> None:
    def finish_long_after_it() -> None:
        wait_until(lambda: (root / "began").exists() and (root / "began").read_text())
        wait_until(lambda: psutil.Process(began(root)).status() == psutil.STATUS_ZOMBIE)
        time.sleep(2)

    fakes.HOOKS["statistics"] = finish_long_after_it
    _, before, stage, _ = run(root).stages
    assert 0 < stage.seconds <= before.seconds - 1.5
    with MetadataStore(root, read_only=True) as store:
        execution = store.newest_execution("transform")
        assert execution is not None
        assert execution.seconds <= before.seconds - 1.5


def test_what_is_done_already_does_not_begin_again(root: Path) -> None:
    run(root)
    (root / "began").unlink()
    fakes.HOOKS.clear()
    assert statuses(run(root, force=["statistics"])) == ["cached", "ran", "cached", "cached"]
    assert not (root / "began").exists()


@dataclasses.dataclass(frozen=True)
class Schema(Stage):
    """One more before it."""

    inputs: ClassVar = {"statistics": artifacts.ExampleStatistics}
    outputs: ClassVar = {"schema": artifacts.Schema}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["schema"] / "schema").write_text("")


def test_what_is_done_already_is_looked_at_once_before_its_turn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def look(stage: Stage, *arguments: Any) -> Any:
        looked_at.append(stage.stage_name())
        return decide(stage, *arguments)

    stages = (fakes.ExampleGen, Statistics, Schema, Transform, Trainer)
    run(root, stages)
    monkeypatch.setattr(session, "decide", look)
    summary = run(root, stages, force=["statistics", "schema"])
    assert statuses(summary) == ["cached", "ran", "ran", "cached", "cached"]
    assert looked_at == ["example_gen", "statistics", "transform", "schema", "transform", "trainer"]


def test_forced_it_begins_again(root: Path) -> None:
    run(root)
    (root / "began").unlink()
    assert statuses(run(root, force=["statistics", "transform"])) == ["cached", "ran", "ran", "cached"]
    assert began(root) != os.getpid()


def test_stage_beyond_the_last_one_does_not_begin(root: Path) -> None:
    fakes.HOOKS.clear()
    assert statuses(run(root, to_stage="statistics")) == ["ran", "ran", "skipped", "skipped"]
    assert not (root / "began").exists()


@dataclasses.dataclass(frozen=True)
class Tuner(Stage):
    """Finds the seed."""

    inputs: ClassVar = {"examples": artifacts.Examples}
    outputs: ClassVar = {"best_hyperparameters": artifacts.HyperParameters}
    configures: ClassVar[bool] = True

    def configured(self, config: Config, outputs: Mapping[str, Path]) -> Config:
        return config.model_copy(update={"trainer": config.trainer.model_copy(update={"seed": 7})})

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        assert not (root / "began").exists()
        (outputs["best_hyperparameters"] / "seed").write_text("7")


def test_stage_whose_configuration_is_still_to_be_found_does_not_begin(root: Path) -> None:
    fakes.HOOKS.clear()
    summary = run(root, (fakes.ExampleGen, Statistics, Tuner, Transform, Trainer))
    assert statuses(summary) == ["ran"] * 5
    assert began(root) == os.getpid()


def test_refusal_before_its_turn_ends_it_and_leaves_nothing(root: Path) -> None:
    (root / "wish").write_text("wait")
    fakes.REFUSALS.append("The corpus is bad.")
    summary = run(root)
    assert statuses(summary) == ["ran", "failed", "skipped", "skipped"]
    assert "The corpus is bad." in str(summary.exception)
    assert summary.log is None
    assert_nothing_is_left(root)
    assert states(root)["transform"] == "failed"

    fakes.REFUSALS.clear()
    (root / "wish").unlink()
    assert statuses(run(root)) == ["cached", "cached", "ran", "ran"]


@pytest.mark.parametrize("wish", ["wait", "usage", "die"])
def test_failure_of_the_stage_before_is_what_the_run_tells(root: Path, wish: str) -> None:
    (root / "wish").write_text(wish)

    def fail() -> None:
        wait_until((root / "began").exists)
        raise RuntimeError("no statistics")

    fakes.HOOKS["statistics"] = fail
    summary = run(root)
    assert statuses(summary) == ["ran", "failed", "skipped", "skipped"]
    assert str(summary.exception) == "no statistics"
    assert summary.log is not None
    assert summary.log.name.startswith("statistics-")
    assert_nothing_is_left(root)


def test_interrupt_ends_it_and_leaves_nothing(root: Path) -> None:
    (root / "wish").write_text("wait")

    def interrupt() -> None:
        wait_until((root / "began").exists)
        raise KeyboardInterrupt

    fakes.HOOKS["statistics"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(root)
    assert_nothing_is_left(root)
    assert states(root) == {"example_gen": "complete", "statistics": "failed", "transform": "failed"}


def test_interrupt_while_it_is_waited_for_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "wish").write_text("wait")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    def waits(event: StageResult) -> None:
        if (event.name, event.status) == ("statistics", "ran"):
            monkeypatch.setattr("pipeline.apart.time.sleep", interrupt)

    with pytest.raises(KeyboardInterrupt):
        run(root, on_event=waits)
    monkeypatch.undo()
    assert_nothing_is_left(root)
    assert states(root)["transform"] == "failed"


def test_its_error_is_told_at_its_turn_as_if_it_had_run_here(root: Path) -> None:
    (root / "wish").write_text("usage")
    summary = run(root)
    assert statuses(summary) == ["ran", "ran", "failed", "skipped"]
    assert type(summary.exception) is UsageError
    assert str(summary.exception) == "Transform: the corpus must be better."
    assert summary.log is not None
    log = summary.log.read_text()
    assert log.startswith("a warning from afar\n")
    assert "Traceback" in log
    assert_nothing_is_left(root)


def test_full_disk_is_told_of_with_the_room_that_there_is(root: Path) -> None:
    (root / "wish").write_text("full")
    summary = run(root)
    assert "transform must have room for its outputs" in str(summary.exception)
    assert "No space left on device (tokens)" in str(summary.exception)
    assert_nothing_is_left(root)


@pytest.mark.parametrize(
    ("wish", "message"),
    [("unsendable", "UnsendableError: 1 and 2"), ("garbled", "NotBlessed: Not blessed: It is bad.")],
)
def test_error_that_cannot_be_sent_is_told_in_words(root: Path, wish: str, message: str) -> None:
    (root / "wish").write_text(wish)
    summary = run(root)
    assert type(summary.exception) is RuntimeError
    assert str(summary.exception) == message


def test_error_before_it_has_begun_is_no_failure_of_the_stage_beside_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(stage: Stage, root: Path) -> dict[str, Any]:
        raise UsageError("Transform: tokenizers must be installed.")

    monkeypatch.setattr(Transform, "environment", unreadable)
    fakes.HOOKS.clear()
    summary = run(root)
    assert statuses(summary) == ["ran", "ran", "failed", "skipped"]
    assert "must be installed" in str(summary.exception)


def test_stage_of_a_class_that_no_other_process_finds_runs_here(root: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Local(Transform):
        pass

    fakes.HOOKS.clear()
    assert statuses(run(root, (fakes.ExampleGen, Statistics, Local, Trainer))) == ["ran"] * 4
    assert began(root) == os.getpid()
    assert list((root / ".tmp").iterdir()) == []


def test_pieces_of_a_line_are_shown_as_they_were_written(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "wish").write_text("pieces")
    run(root)
    assert "50 %\r→ 100 %\n" in capfd.readouterr().err


@pytest.mark.parametrize("fails", [False, True])
def test_where_ended_processes_are_nobodys_it_goes_as_anywhere(root: Path, fails: bool) -> None:
    (root / "wish").write_text("usage" if fails else "")
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        summary = run(root)
    finally:
        signal.signal(signal.SIGCHLD, handler)
    assert statuses(summary) == (["ran", "ran", "failed", "skipped"] if fails else ["ran"] * 4)
    assert (type(summary.exception) is UsageError) is fails
    assert_nothing_is_left(root)


def test_process_that_dies_is_told_of(root: Path) -> None:
    (root / "wish").write_text("die")
    summary = run(root)
    assert statuses(summary) == ["ran", "ran", "failed", "skipped"]
    assert "died with code -9" in str(summary.exception)
    assert_nothing_is_left(root)


def test_another_run_that_is_at_it_is_waited_for_at_its_turn_only(root: Path) -> None:
    order: list[str] = []
    run(root, to_stage="example_gen")

    def listen(event: StageResult) -> None:
        order.append(f"{event.name} {event.status} {event.reason}")

    # Which lock it is, the first run says: it is the one that is held beside that of the statistics.
    def locks() -> list[Path]:
        return sorted((root / ".tmp").glob("transform-*.lock"))

    found: list[Path] = []
    hook = fakes.HOOKS["statistics"]
    fakes.HOOKS["statistics"] = lambda: (hook(), found.extend(locks()))[0]
    run(root)
    (lock,) = found
    (root / "began").unlink()

    fakes.HOOKS["statistics"] = lambda: order.append("statistics at work")
    holder = locked(lock)
    holder.__enter__()

    def let_go(event: StageResult) -> None:
        listen(event)
        if "another run is at it" in event.reason:
            holder.__exit__(None, None, None)

    summary = run(root, force=["statistics", "transform"], on_event=let_go)
    assert statuses(summary) == ["cached", "ran", "ran", "cached"]
    assert order.index("statistics at work") < order.index("transform running another run is at it; waiting")
    assert began(root) == os.getpid()


def test_killed_run_takes_it_along_and_the_next_one_repairs(root: Path) -> None:
    (root / "wish").write_text("wait")
    program = (
        "import sys, time, pathlib\n"
        "from pipeline import runner, session\n"
        "from tests.pipeline import fakes, test_ahead\n"
        "session._WORTH_A_PROCESS = 1\n"
        "fakes.HOOKS['statistics'] = lambda: time.sleep(60)\n"
        "test_ahead.run(pathlib.Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", program, str(root)]
    with subprocess.Popen(command, cwd=SOURCE_ROOT, env=fresh_environment()) as process:
        wait_until((root / "began").exists)
        process.kill()
    wait_until(lambda: not psutil.pid_exists(began(root)))
    assert any(path.suffix == ".apart" for path in (root / ".tmp").iterdir())  # there is something to remove
    assert states(root) == {"example_gen": "complete", "statistics": "running", "transform": "running"}

    (root / "wish").unlink()
    (root / "began").unlink()
    repaired: list[str] = []
    summary = run(root, on_event=lambda event: repaired.append(event.name) if event.status == "repaired" else None)
    assert sorted(repaired) == ["statistics", "transform"]
    assert statuses(summary) == ["cached", "ran", "ran", "ran"]
    assert_nothing_is_left(root)
