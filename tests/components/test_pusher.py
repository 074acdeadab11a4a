"""The Pusher: the next version, whole or not at all, and only what is blessed."""

import json
import shutil
from pathlib import Path

import pytest

from components.pusher import Pusher, push, refusal, remove_old, versions
from pipeline.config import PipelineConfig, PusherConfig
from pipeline.errors import NotBlessed

FILES = {
    "saved_model.pb": b"graph",
    "fingerprint.pb": b"fingerprint",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": b"data",
    "assets/vocabulary.tsv": b"0\t\t<end>\n",
}


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "exported_model"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def serving(tmp_path):
    return tmp_path / "root" / "serving" / "tiny"


@pytest.fixture
def inputs(tmp_path, model):
    """A model with both blessings."""
    folders = {
        "exported_model": model,
        "blessing": tmp_path / "blessing",
        "infra_blessing": tmp_path / "infra_blessing",
    }
    for name, verdict in (("blessing", "BLESSED"), ("infra_blessing", "INFRA_BLESSED")):
        folders[name].mkdir()
        (folders[name] / verdict).write_text("")
    return folders


def run(tmp_path, inputs, keep=None, name="pushed_model"):
    """Runs the stage; returns its output folder."""
    output = tmp_path / name
    output.mkdir(exist_ok=True)
    stage = Pusher(pipeline=PipelineConfig(name="tiny"), pusher=PusherConfig(keep=keep))
    stage.run(inputs, {"pushed_model": output}, tmp_path / "root")
    return output


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- Versions -------------------------------------------------------------------------------------------------------


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

    remove_old(serving, 2)

    assert sorted(path.name for path in serving.iterdir()) == ["10", "9", "notes"]


def test_pusher_keep_leaves_that_many_versions(tmp_path, inputs, serving):
    for _ in range(3):
        run(tmp_path, inputs, keep=2)

    assert versions(serving) == [2, 3]
    assert content(serving / "3") == FILES


def test_pusher_without_keep_leaves_all_versions(tmp_path, inputs, serving):
    for _ in range(3):
        run(tmp_path, inputs)

    assert versions(serving) == [1, 2, 3]


def test_pusher_records_destination_and_version(tmp_path, inputs, serving):
    output = run(tmp_path, inputs)

    record = json.loads((output / "pushed.json").read_text("utf-8"))
    assert record == {"destination": "serving/tiny/1", "version": 1}
    assert tmp_path / "root" / record["destination"] == serving / "1"


# ---- Whole or not at all --------------------------------------------------------------------------------------------


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


# ---- Blessings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "verdict"), [("blessing", "NOT_BLESSED"), ("infra_blessing", "INFRA_NOT_BLESSED")])
def test_pusher_refused_model_raises_the_reasons_and_pushes_nothing(tmp_path, inputs, serving, folder, verdict):
    (inputs[folder] / verdict.replace("NOT_", "")).unlink()
    (inputs[folder] / verdict).write_text("bits are too many.\nso are nats.\n")

    with pytest.raises(NotBlessed) as caught:
        run(tmp_path, inputs)

    assert caught.value.reasons == ["bits are too many.", "so are nats."]
    assert not serving.exists()


@pytest.mark.parametrize("folder", ["blessing", "infra_blessing"])
def test_pusher_missing_verdict_pushes_nothing(tmp_path, inputs, serving, folder):
    next(inputs[folder].iterdir()).unlink()

    with pytest.raises(NotBlessed, match=f"{folder} holds no (INFRA_)?BLESSED file"):
        run(tmp_path, inputs)

    assert not serving.exists()


def test_pusher_two_refusals_give_all_reasons(tmp_path, inputs):
    (inputs["blessing"] / "NOT_BLESSED").write_text("first.\n")
    (inputs["infra_blessing"] / "INFRA_NOT_BLESSED").write_text("second.\n")

    with pytest.raises(NotBlessed) as caught:
        run(tmp_path, inputs)

    assert caught.value.reasons == ["first.", "second."]


def test_refusal_without_a_reason_is_still_a_refusal(tmp_path):
    (tmp_path / "NOT_BLESSED").write_text("")
    (tmp_path / "BLESSED").write_text("")

    assert refusal(tmp_path, "BLESSED", "NOT_BLESSED") == ["NOT_BLESSED without a reason."]


# ---- Reuse ----------------------------------------------------------------------------------------------------------


def test_pusher_reusable_while_the_version_is_there(tmp_path, inputs, serving):
    outputs = {"pushed_model": run(tmp_path, inputs)}
    stage = Pusher(pipeline=PipelineConfig(name="tiny"), pusher=PusherConfig())

    assert stage.reusable(outputs, tmp_path / "root")
    shutil.rmtree(serving / "1")
    assert not stage.reusable(outputs, tmp_path / "root")


def test_pusher_not_reusable_when_a_newer_version_is_served(tmp_path, inputs):
    outputs = {"pushed_model": run(tmp_path, inputs, name="first")}
    stage = Pusher(pipeline=PipelineConfig(name="tiny"), pusher=PusherConfig())

    assert stage.reusable(outputs, tmp_path / "root")
    run(tmp_path, inputs, name="second")
    assert not stage.reusable(outputs, tmp_path / "root")


def test_pusher_in_a_moved_root_is_reusable(tmp_path, inputs):
    outputs = {"pushed_model": run(tmp_path, inputs)}
    (tmp_path / "root").rename(tmp_path / "moved")
    stage = Pusher(pipeline=PipelineConfig(name="tiny"), pusher=PusherConfig())

    assert stage.reusable(outputs, tmp_path / "moved")
    assert not stage.reusable(outputs, tmp_path / "root")


def test_push_number_taken_meanwhile_takes_the_next(tmp_path, inputs, monkeypatch):
    serving = tmp_path / "serving"
    rename = Path.rename

    def overtaken(self, target):
        monkeypatch.undo()
        target.mkdir()
        (target / "saved_model.pb").touch()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    assert push(inputs["exported_model"], serving) == serving / "2"
