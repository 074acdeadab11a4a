"""The Pusher: the next version, whole or not at all, and only what is blessed."""

import json
import shutil

import pytest

from components.pusher.local import LocalVersions
from components.pusher.stage import Pusher, Rollback, refusal
from pipeline.config import PipelineConfig, PusherConfig
from pipeline.errors import NotBlessed
from pipeline.files import digest_folder
from tests.components.pusher.models import FILES, content, write_model


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "exported_model")


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


def run(tmp_path, inputs, stage=Pusher, root="root", **settings):
    """Runs the stage as the next execution of the root; returns its output folder."""
    executions = tmp_path / root / "pusher"
    output = executions / str(1 + len(list(executions.glob("*")))) / "pushed_model"
    output.mkdir(parents=True)
    pusher = stage(pipeline=PipelineConfig(name="tiny"), pusher=PusherConfig(**settings))
    try:
        pusher.run(inputs, {"pushed_model": output}, tmp_path / root)
    except NotBlessed:
        shutil.rmtree(output.parent)
        raise
    return output


def versions(serving):
    return LocalVersions(serving).numbers()


def reusable(output, root, **settings):
    stage = Pusher(pipeline=PipelineConfig(name="tiny"), pusher=PusherConfig(**settings))
    return stage.reusable({"pushed_model": output}, root)


# ---- Versions -------------------------------------------------------------------------------------------------------


def test_pusher_keep_leaves_that_many_versions(tmp_path, inputs, serving):
    for weights in (b"first", b"second", b"third"):
        write_model(inputs["exported_model"], weights)
        run(tmp_path, inputs, keep=2)

    assert versions(serving) == [2, 3]
    assert content(serving / "3") == content(inputs["exported_model"])


def test_pusher_without_keep_leaves_all_versions(tmp_path, inputs, serving):
    for weights in (b"first", b"second", b"third"):
        write_model(inputs["exported_model"], weights)
        run(tmp_path, inputs)

    assert versions(serving) == [1, 2, 3]


def test_pusher_model_that_is_served_already_takes_no_new_number(tmp_path, inputs, serving):
    run(tmp_path, inputs)
    output = run(tmp_path, inputs)

    assert versions(serving) == [1]
    assert json.loads((output / "pushed.json").read_text("utf-8"))["version"] == 1


def test_pusher_killed_before_it_recorded_the_push_takes_no_new_number(tmp_path, inputs, serving):
    shutil.rmtree(run(tmp_path, inputs).parent)
    output = run(tmp_path, inputs)

    assert versions(serving) == [1]
    assert json.loads((output / "pushed.json").read_text("utf-8"))["version"] == 1


def test_pusher_version_of_unknown_origin_with_other_bytes_is_not_taken_for_the_model(tmp_path, inputs, serving):
    write_model(serving / "1", b"another")
    run(tmp_path, inputs)

    assert versions(serving) == [1, 2]


def test_pusher_served_version_that_was_damaged_is_replaced_by_the_next(tmp_path, inputs, serving):
    run(tmp_path, inputs)
    (serving / "1" / "fingerprint.pb").write_bytes(b"fingerprinT")
    run(tmp_path, inputs)

    assert versions(serving) == [1, 2]
    assert content(serving / "2") == FILES


def test_pusher_records_destination_version_and_digest(tmp_path, inputs, serving):
    output = run(tmp_path, inputs)

    record = json.loads((output / "pushed.json").read_text("utf-8"))
    digest = digest_folder(serving / "1")
    assert record == {
        "destination": "serving/tiny/1",
        "version": 1,
        "digest": digest,
        "model": digest,  # of an export of which no execution says what it was made from
        "withdrawn": None,
    }
    assert tmp_path / "root" / record["destination"] == serving / "1"


def test_pusher_local_destination_stands_for_the_serving_folder(tmp_path, inputs):
    output = run(tmp_path, inputs, destination=str(tmp_path / "elsewhere"))

    assert content(tmp_path / "elsewhere" / "tiny" / "1") == FILES
    assert not (tmp_path / "root" / "serving").exists()
    record = json.loads((output / "pushed.json").read_text("utf-8"))
    assert record["destination"] == str(tmp_path / "elsewhere" / "tiny" / "1")


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
    output = run(tmp_path, inputs)

    assert reusable(output, tmp_path / "root")
    shutil.rmtree(serving / "1")
    assert not reusable(output, tmp_path / "root")


def test_pusher_not_reusable_when_a_byte_of_the_version_changed(tmp_path, inputs, serving):
    output = run(tmp_path, inputs)

    (serving / "1" / "variables" / "variables.index").write_bytes(b"indeX")
    assert not reusable(output, tmp_path / "root")


def test_pusher_not_reusable_when_a_newer_version_is_served(tmp_path, inputs):
    output = run(tmp_path, inputs)

    assert reusable(output, tmp_path / "root")
    write_model(inputs["exported_model"], b"other")
    run(tmp_path, inputs)
    assert not reusable(output, tmp_path / "root")


def test_pusher_not_reusable_for_another_destination(tmp_path, inputs):
    output = run(tmp_path, inputs)

    assert not reusable(output, tmp_path / "root", destination=str(tmp_path / "elsewhere"))


def test_pusher_in_a_moved_root_is_reusable(tmp_path, inputs):
    run(tmp_path, inputs)
    (tmp_path / "root").rename(tmp_path / "moved")
    output = tmp_path / "moved" / "pusher" / "1" / "pushed_model"

    assert reusable(output, tmp_path / "moved")
    assert not reusable(output, tmp_path / "root")


# ---- Roll-back ------------------------------------------------------------------------------------------------------


def roll_back(tmp_path, model):
    return run(tmp_path, {"exported_model": model}, stage=Rollback)


def record(folder, inputs, outputs):
    """What an execution records of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "execution.json").write_text(json.dumps({"inputs": inputs, "outputs": outputs}))


@pytest.mark.parametrize(("key", "what"), [("blessing", "model"), ("infra_blessing", "exported_model")])
def test_pusher_blessing_of_another_model_pushes_nothing(tmp_path, inputs, serving, key, what):
    digest = digest_folder(inputs["exported_model"])
    record(tmp_path / "root" / "exporter" / "5", {"model": "trained"}, {"exported_model": digest})
    judged = {"model": "trained", "exported_model": digest}
    blessings = {}
    for number, name in enumerate(("blessing", "infra_blessing")):
        folder = tmp_path / "root" / "judge" / str(number)
        record(folder, {**judged, **({what: "another"} if name == key else {})}, {name: "digest"})
        shutil.copytree(inputs[name], folder / name)
        blessings[name] = folder / name

    with pytest.raises(NotBlessed, match=f"{key} is of another {what} than the one to be pushed"):
        run(tmp_path, {**inputs, **blessings})

    assert not serving.exists()
    record(blessings[key].parent, judged, {key: "digest"})  # guard
    run(tmp_path, {**inputs, **blessings})
    assert versions(serving) == [1]


def test_pusher_number_of_a_version_that_was_removed_is_not_given_again(tmp_path, inputs, serving):
    for weights in (b"one", b"two"):
        write_model(inputs["exported_model"], weights)
        run(tmp_path, inputs)
    shutil.rmtree(serving / "2")
    write_model(inputs["exported_model"], b"three")
    run(tmp_path, inputs)

    assert versions(serving) == [1, 3]


def test_pusher_file_with_the_name_of_the_next_version_is_passed_over(tmp_path, inputs, serving):
    serving.mkdir(parents=True)
    (serving / "1").write_text("no folder")
    run(tmp_path, inputs)

    assert versions(serving) == [2]


def test_pusher_damaged_record_of_an_execution_is_named(tmp_path, inputs, serving):
    folder = tmp_path / "root" / "exporter" / "5"
    for text in ("", "{}", '{"inputs": {}'):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "execution.json").write_text(text)
        with pytest.raises(
            RuntimeError, match=r"exporter/5/execution\.json must say what the execution read and wrote"
        ):
            run(tmp_path, inputs)
        shutil.rmtree(tmp_path / "root" / "pusher")
    assert not serving.exists()


def test_rollback_withdraws_the_weights_however_often_they_are_trained(tmp_path, inputs, serving):
    """A model trained again has other clock times beside the same weights."""

    def train_and_export(number, weights, seconds):
        model = tmp_path / "root" / "trainer" / str(number) / "model"
        model.mkdir(parents=True)
        (model / "model.weights.h5").write_bytes(weights)
        (model / "history.jsonl").write_text(seconds)
        record(model.parent, {}, {"model": digest_folder(model)})
        write_model(inputs["exported_model"], weights + seconds.encode())  # the card tells of the training, too
        made = {"exported_model": digest_folder(inputs["exported_model"])}
        record(tmp_path / "root" / "exporter" / str(number), {"model": digest_folder(model)}, made)

    run(tmp_path, inputs)
    train_and_export(1, b"worse", "1.5")
    run(tmp_path, inputs)
    roll_back(tmp_path, serving / "1")
    train_and_export(2, b"worse", "2.5")
    with pytest.raises(NotBlessed, match="was version 2 and was rolled back from"):
        run(tmp_path, inputs)
    train_and_export(3, b"better", "1.5")
    run(tmp_path, inputs)
    assert versions(serving) == [1, 2, 3, 4]


def test_rollback_serves_the_former_bytes_under_a_new_number_and_keeps_the_others(tmp_path, inputs, serving):
    run(tmp_path, inputs)
    write_model(inputs["exported_model"], b"worse")
    run(tmp_path, inputs)
    roll_back(tmp_path, serving / "1")

    assert versions(serving) == [1, 2, 3]
    assert content(serving / "3") == FILES
    assert content(serving / "2") != FILES  # guard


def test_rollback_withdraws_the_model_until_it_is_served_again(tmp_path, inputs, serving):
    run(tmp_path, inputs)
    write_model(inputs["exported_model"], b"worse")
    run(tmp_path, inputs)
    roll_back(tmp_path, serving / "1")

    with pytest.raises(NotBlessed, match=r"was version 2 and was rolled back from: version 3.*rollback --to 2"):
        run(tmp_path, inputs)
    assert versions(serving) == [1, 2, 3]

    roll_back(tmp_path, serving / "2")
    assert content(serving / "4") == content(serving / "2")
    run(tmp_path, inputs)  # it is served: no refusal, no new number
    assert versions(serving) == [1, 2, 3, 4]


def test_rollback_does_not_stand_in_the_way_of_another_model(tmp_path, inputs, serving):
    run(tmp_path, inputs)
    write_model(inputs["exported_model"], b"worse")
    run(tmp_path, inputs)
    roll_back(tmp_path, serving / "1")
    write_model(inputs["exported_model"], b"better")
    run(tmp_path, inputs)

    assert versions(serving) == [1, 2, 3, 4]
    write_model(inputs["exported_model"], b"worse")
    with pytest.raises(NotBlessed, match="rolled back"):  # still
        run(tmp_path, inputs)


def test_rollback_withdraws_the_trained_model_however_it_is_exported(tmp_path, inputs, serving):
    """An export differs with its card; what was trained is the same."""

    def export(number, weights):
        write_model(inputs["exported_model"], weights)
        record = {
            "inputs": {"model": "trained"},
            "outputs": {"exported_model": digest_folder(inputs["exported_model"])},
        }
        (tmp_path / "root" / "exporter" / str(number)).mkdir(parents=True)
        (tmp_path / "root" / "exporter" / str(number) / "execution.json").write_text(json.dumps(record))

    run(tmp_path, inputs)
    export(1, b"with a card")
    run(tmp_path, inputs)
    roll_back(tmp_path, serving / "1")
    export(2, b"with another card")
    with pytest.raises(NotBlessed, match="was version 2 and was rolled back from"):
        run(tmp_path, inputs)
