"""Locks: one holder at a time, whatever happens to the file or to whoever held it."""

import contextlib
import fcntl
import os
from pathlib import Path

import pytest

from pipeline import locks
from pipeline.locks import is_held, locked, occupied, remove_stale
from tests.pipeline.children import started

HOLD = """
import pathlib, sys
from pipeline.locks import locked
with locked(pathlib.Path(sys.argv[1]), on_wait=lambda: print("waiting", flush=True)):
    print("held", flush=True)
    sys.stdin.readline()
print("done", flush=True)
"""
OCCUPY = """
import pathlib, sys
from pipeline.locks import occupied
with occupied(pathlib.Path(sys.argv[1]), alone=sys.argv[2] == "alone"):
    print("held", flush=True)
    sys.stdin.readline()
"""
# Adds 1 to a number in a file, again and again, in three steps that another process could come between.
COUNT = """
import pathlib, sys
from pipeline.locks import locked
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(300):
    with locked(folder / "lock"):
        number = int((folder / "number").read_text())
        (folder / "number").write_text(str(number + 1))
print("done", flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


def test_locked_second_process_waits_and_is_told(file: Path) -> None:
    with started(HOLD, file) as first:
        assert first.hear() == "held"
        with started(HOLD, file) as second:
            assert second.hear() == "waiting"
            first.tell()
            assert first.hear() == "done"
            assert second.hear() == "held"


def test_locked_free_lock_is_taken_without_a_word(file: Path) -> None:
    told: list[str] = []
    with locked(file, on_wait=lambda: told.append("waiting")):
        assert is_held(file)
    assert told == []


def test_locked_afterwards_leaves_no_file(file: Path) -> None:
    with locked(file):
        assert file.is_file()
    assert list(file.parent.iterdir()) == []


def test_locked_body_that_raises_frees_it(file: Path) -> None:
    with contextlib.suppress(RuntimeError), locked(file):
        raise RuntimeError
    assert not is_held(file)
    assert not file.exists()


def test_locked_holder_is_killed_whoever_waits_gets_it(file: Path) -> None:
    with started(HOLD, file) as first:
        assert first.hear() == "held"
        with started(HOLD, file) as second:
            assert second.hear() == "waiting"
            first.kill()
            assert second.hear() == "held"


def test_locked_file_of_a_killed_holder_is_taken_without_a_word(file: Path) -> None:
    with started(HOLD, file) as holder:
        assert holder.hear() == "held"
        holder.kill()
    assert file.is_file()
    with started(HOLD, file) as second:
        assert second.hear() == "held"


def test_locked_file_removed_between_opening_and_locking_is_not_held_as_a_ghost(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, others = fcntl.flock, []

    def first_is_late(descriptor: int, operation: int) -> None:
        if not others:  # the former holder removes the file that was just opened, and another one makes a new one
            file.unlink()
            others.append(os.open(file, os.O_RDWR | os.O_CREAT))
            flock(others[0], fcntl.LOCK_EX)
        flock(descriptor, operation)

    monkeypatch.setattr(locks.fcntl, "flock", first_is_late)
    told: list[str] = []

    def other_is_done() -> None:
        told.append("waiting")
        os.close(others[0])

    with locked(file, on_wait=other_is_done):
        assert told == ["waiting"]
        assert is_held(file)


def test_locked_three_processes_are_never_in_at_once(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(started(COUNT, tmp_path)) for _ in range(3)]
        assert [child.hear() for child in children] == ["ready"] * 3
        for child in children:
            child.tell()
        assert [child.hear() for child in children] == ["done"] * 3
    assert (tmp_path / "number").read_text() == "900"
    assert not (tmp_path / "lock").exists()


def test_is_held_without_a_file_is_false(file: Path) -> None:
    assert not is_held(file)
    assert not file.exists()


def test_is_held_by_another_process_until_that_is_killed(file: Path) -> None:
    with started(HOLD, file) as holder:
        assert holder.hear() == "held"
        assert is_held(file)
        holder.kill()
        assert not is_held(file)


def test_is_held_somebody_else_asks_at_the_same_time_is_false(file: Path) -> None:
    file.touch()
    descriptor = os.open(file, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # what asking does
    assert not is_held(file)
    os.close(descriptor)


def test_remove_stale_takes_the_file_of_a_killed_holder_only(file: Path) -> None:
    with started(HOLD, file) as holder:
        assert holder.hear() == "held"
        remove_stale(file)
        assert is_held(file)
        holder.kill()
        remove_stale(file)
    assert not file.exists()


def test_occupied_by_several_at_once_is_fine(tmp_path: Path) -> None:
    with started(OCCUPY, tmp_path, "shared") as other:
        assert other.hear() == "held"
        with occupied(tmp_path):
            pass


@pytest.mark.parametrize(("theirs", "alone"), [("shared", True), ("alone", False), ("alone", True)])
def test_occupied_alone_beside_another_is_refused_until_that_is_gone(tmp_path: Path, theirs: str, alone: bool) -> None:
    with started(OCCUPY, tmp_path, theirs) as other:
        assert other.hear() == "held"
        with pytest.raises(BlockingIOError), occupied(tmp_path, alone):
            pass
        other.kill()
        with occupied(tmp_path, alone):
            pass
