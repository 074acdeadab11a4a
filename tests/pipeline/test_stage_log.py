"""What a stage says, kept in a file for each execution, and shown when it fails."""

import contextlib
import io
import json
import logging
import sys
import threading
from pathlib import Path

import pytest

from pipeline import runner
from pipeline.cli import main
from pipeline.stage_log import kept, last_lines
from tests.pipeline import fakes

Terminal = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "trainer-1.log"


def test_kept_stderr_is_in_the_file_and_on_the_terminal(log: Path, capsys: Terminal) -> None:
    with kept(log):
        sys.stderr.write("a warning\n")
    assert log.read_text() == capsys.readouterr().err == "a warning\n"


def test_kept_what_is_logged_has_level_and_name(log: Path) -> None:
    with kept(log):
        logging.getLogger("components.trainer").warning("slow %s", "disk")
    assert log.read_text().endswith(" WARNING components.trainer: slow disk\n")


def test_kept_file_can_be_read_while_the_stage_runs(log: Path, capsys: Terminal) -> None:
    with kept(log):
        sys.stderr.write("so far\n")
        assert log.read_text() == "so far\n"


def test_kept_cursor_movements_reach_the_terminal_alone(log: Path, capsys: Terminal) -> None:
    with kept(log):
        sys.stderr.write("\x1b[1A 50 %\n")
    assert capsys.readouterr().err == "\x1b[1A 50 %\n"
    assert log.read_text() == ""


def test_kept_letters_that_no_encoding_has_are_escaped(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with kept(log):
        sys.stderr.write("é \udcff\n")
    assert log.read_text("utf-8") == "é \\udcff\n"


def test_kept_stream_answers_as_the_terminal_does(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Screen())
    with kept(log):
        assert sys.stderr.isatty()


def test_kept_exception_is_raised_and_its_traceback_kept(log: Path) -> None:
    with pytest.raises(RuntimeError, match="no luck"), kept(log):
        raise RuntimeError("no luck")
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert text.endswith("RuntimeError: no luck\n")


def test_kept_afterwards_handlers_and_stderr_are_as_before(log: Path, capsys: Terminal) -> None:
    handlers, stderr = list(logging.getLogger().handlers), sys.stderr
    with contextlib.suppress(RuntimeError), kept(log):
        assert logging.getLogger().handlers != handlers
        raise RuntimeError
    assert logging.getLogger().handlers == handlers
    assert sys.stderr is stderr


def test_kept_one_in_another_gets_its_own_part(tmp_path: Path, capsys: Terminal) -> None:
    outer, inner = tmp_path / "logs" / "outer.log", tmp_path / "logs" / "inner.log"
    with kept(outer):
        sys.stderr.write("before\n")
        with kept(inner):
            sys.stderr.write("within\n")
        sys.stderr.write("after\n")
    assert inner.read_text() == "within\n"
    assert outer.read_text() == capsys.readouterr().err == "before\nwithin\nafter\n"


def test_kept_two_at_once_that_end_in_the_order_of_their_beginning_leave_nothing(
    tmp_path: Path, capsys: Terminal
) -> None:
    handlers, stderr = list(logging.getLogger().handlers), sys.stderr
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with kept(tmp_path / "logs" / "first.log"):
            first_is_in.set()
            second_is_in.wait()
        first_is_out.set()

    def second() -> None:
        first_is_in.wait()
        with kept(tmp_path / "logs" / "second.log"):
            second_is_in.set()
            first_is_out.wait()
            sys.stderr.write("late\n")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sys.stderr is stderr
    assert logging.getLogger().handlers == handlers
    assert (tmp_path / "logs" / "second.log").read_text() == capsys.readouterr().err == "late\n"
    assert (tmp_path / "logs" / "first.log").read_text() == ""


def test_last_lines_end_before_the_traceback(log: Path, capsys: Terminal) -> None:
    with contextlib.suppress(RuntimeError), kept(log):
        for number in range(30):
            sys.stderr.write(f"step {number}\n")
        raise RuntimeError("no luck")
    assert last_lines(log) == [f"step {number}" for number in range(20, 30)]


def test_last_lines_without_a_file_are_none(log: Path) -> None:
    assert last_lines(log) == []


# ---- In a run -------------------------------------------------------------------------------------------------------


def says_and_fails() -> None:
    sys.stderr.write("epoch 1: nats 3.2\n")
    raise RuntimeError("no luck")


def test_run_each_execution_has_its_log(tmp_path: Path, capsys: Terminal) -> None:
    fakes.HOOKS["trainer"] = lambda: sys.stderr.write("trained\n")
    runner.run(fakes.STAGES, fakes.config(), tmp_path)
    logs = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert logs == {"example_gen-1.log": "", "trainer-2.log": "trained\n", "evaluator-3.log": "", "pusher-4.log": ""}


def test_run_failing_stage_keeps_its_log(tmp_path: Path, capsys: Terminal) -> None:
    fakes.HOOKS["trainer"] = says_and_fails
    summary = runner.run(fakes.STAGES, fakes.config(), tmp_path)
    assert summary.log == tmp_path / "logs" / "trainer-2.log"
    assert "epoch 1: nats 3.2\n" in summary.log.read_text()
    assert summary.log.read_text().endswith("RuntimeError: no luck\n")


def test_run_command_failing_stage_shows_last_lines_and_path(recipe: str, capsys: Terminal) -> None:
    fakes.HOOKS["trainer"] = says_and_fails
    assert main(["run", "--config", recipe]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("\nThe log of trainer: runs/fake/logs/trainer-2.log, which ends with\n  epoch 1: nats 3.2\n")
    assert "no luck" not in out  # the message is said once
    assert err == "epoch 1: nats 3.2\nerror: no luck\n"


def test_run_command_stage_that_failed_without_a_word_shows_the_path_alone(recipe: str, capsys: Terminal) -> None:
    def fails() -> None:
        raise RuntimeError("no luck")

    fakes.HOOKS["trainer"] = fails
    assert main(["run", "--config", recipe]) == 1
    assert capsys.readouterr().out.endswith("\nThe log of trainer: runs/fake/logs/trainer-2.log\n")


def test_run_command_json_names_the_log(recipe: str, tmp_path: Path, capsys: Terminal) -> None:
    fakes.HOOKS["trainer"] = says_and_fails
    assert main(["run", "--config", recipe, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["log"] == str(tmp_path / "runs" / "fake" / "logs" / "trainer-2.log")


def test_run_command_that_succeeds_names_no_log(recipe: str, capsys: Terminal) -> None:
    assert main(["run", "--config", recipe]) == 0
    assert "The log of" not in capsys.readouterr().out
