"""Versions in a local folder: the next number, whole or not at all, read back."""

import shutil
from pathlib import Path

import pytest

from components.pusher import local
from components.pusher.local import LocalVersions
from pipeline.files import digest_folder
from pipeline.locks import is_held
from tests.components.pusher.models import FILES, content, write_model


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "exported_model")


@pytest.fixture
def serving(tmp_path):
    return tmp_path / "root" / "serving" / "tiny"


def push(model, serving):
    return serving / str(LocalVersions(serving).push(model))


def versions(serving):
    return LocalVersions(serving).numbers()


def test_push_copies_every_file_into_version_one(model, serving):
    destination = push(model, serving)

    assert destination == serving / "1"
    assert content(destination) == FILES
    assert [path.name for path in serving.iterdir()] == ["1"]


def test_push_takes_the_number_after_the_newest(model, serving):
    for name in ("1", "9", "10", "not-a-version", ".12"):
        (serving / name).mkdir(parents=True)
    (serving / "99").write_text("a file")

    assert push(model, serving).name == "11"
    assert versions(serving) == [1, 9, 10, 11]


def test_push_leaves_the_exported_model_as_it_is(model, serving):
    push(model, serving)

    assert content(model) == FILES


def test_remove_old_keeps_the_newest_by_number(serving):
    for name in ("2", "9", "10", "notes"):
        (serving / name).mkdir(parents=True)

    LocalVersions(serving).remove_old(2)

    assert sorted(path.name for path in serving.iterdir()) == ["10", "9", "notes"]


def test_push_copies_the_graph_last_under_a_name_that_is_no_version(model, serving, monkeypatch):
    written, copy = [], shutil.copy2

    def spy(source, target, **arguments):
        written.append(Path(target))
        assert versions(serving) == []
        return copy(source, target, **arguments)

    monkeypatch.setattr(shutil, "copy2", spy)
    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, spy, False, False))

    push(model, serving)

    assert len(written) == len(FILES)
    assert written[-1].name == "saved_model.pb"
    assert not any(path.relative_to(serving).parts[0].isdecimal() for path in written)
    assert versions(serving) == [1]


@pytest.mark.parametrize("file", ["saved_model.pb", "variables.index"])
def test_push_copy_that_fails_half_way_leaves_nothing(model, serving, monkeypatch, file):
    (serving / "1").mkdir(parents=True)
    copy, copied = shutil.copy2, []

    def failing(source, target, **arguments):
        if Path(source).name == file:
            raise OSError("no space left on device")
        copied.append(Path(target))
        return copy(source, target, **arguments)

    monkeypatch.setattr(shutil, "copy2", failing)
    monkeypatch.setattr(shutil.copytree, "__defaults__", (False, None, failing, False, False))

    with pytest.raises(OSError, match="no space left"):
        push(model, serving)

    assert copied  # guard: it failed half way
    assert [path.name for path in serving.iterdir()] == ["1"]


def test_push_rename_that_fails_leaves_nothing(model, serving, monkeypatch):
    def failing(path, target):
        raise PermissionError("not now")

    monkeypatch.setattr(Path, "rename", failing)

    with pytest.raises(PermissionError, match="not now"):
        push(model, serving)

    assert list(serving.iterdir()) == []


def test_push_number_taken_meanwhile_takes_the_next(model, tmp_path, monkeypatch):
    serving = tmp_path / "serving"
    rename = Path.rename

    def overtaken(self, target):
        monkeypatch.undo()
        target.mkdir()
        (target / "saved_model.pb").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    assert push(model, serving) == serving / "2"


def test_push_that_reads_back_differently_is_refused_and_leaves_nothing(model, serving, monkeypatch):
    digest = local.digest_folder

    def flipped(folder):
        if folder.name.startswith(".incoming"):
            (folder / "variables" / "variables.index").write_bytes(b"indey")
        return digest(folder)

    monkeypatch.setattr(local, "digest_folder", flipped)

    with pytest.raises(RuntimeError, match="reads back differently"):
        push(model, serving)

    assert list(serving.iterdir()) == []


def test_holds_asks_for_every_byte(model, serving):
    digest = digest_folder(model)
    destination = push(model, serving)

    assert LocalVersions(serving).holds(1, digest)
    (destination / "assets" / "vocabulary.tsv").write_bytes(b"0\t\t<End>\n")
    assert not LocalVersions(serving).holds(1, digest)
    assert not LocalVersions(serving).holds(2, digest)


def test_push_removes_what_a_killed_push_left(model, serving):
    write_model(serving / ".incoming-41")

    push(model, serving)

    assert [path.name for path in serving.iterdir()] == ["1"]


def test_push_keeps_others_out_while_it_copies(model, serving, monkeypatch):
    copy, held = shutil.copy2, []

    def spy(source, target):
        held.append(is_held(serving / ".pushing.lock"))
        copy(source, target)

    monkeypatch.setattr(local.shutil, "copy2", spy)
    push(model, serving)

    assert held == [True]
