"""The runner: what runs, what is reused, and what is left behind when something goes wrong."""

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline import graph, runner
from pipeline.artifacts import Examples, HyperParameters, Model
from pipeline.attempt import execution_folders
from pipeline.code import SOURCE_ROOT
from pipeline.config import Config
from pipeline.errors import Refused, UsageError
from pipeline.files import digest_folder
from pipeline.metadata import MetadataStore
from pipeline.stage import Stage
from pipeline.summary import RunSummary
from tests.pipeline import fakes


def run(root: Path, **arguments: Any) -> RunSummary:
    config = arguments.pop("config", None) or fakes.config()
    fakes.RAN.clear()
    return runner.run(fakes.STAGES, config, root, **arguments)


def statuses(summary: RunSummary) -> dict[str, str]:
    return {stage.name: stage.status for stage in summary.stages}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def fail(error: BaseException) -> Callable[[], None]:
    def hook() -> None:
        raise error

    return hook


def test_run_twice_second_runs_nothing(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert fakes.RAN == fakes.NAMES
    second = run(tmp_path)
    assert fakes.RAN == []
    assert set(statuses(second).values()) == {"cached"}
    assert [stage.outputs for stage in first.stages] == [stage.outputs for stage in second.stages]
    assert (first.run_id, second.run_id) == (1, 2)


def test_run_changed_setting_reruns_its_stage_and_what_follows(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, config=fakes.config(seed=1))
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]


def test_run_changed_corpus_reruns_everything(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, config=fakes.config(source="inline:hellp"))
    assert fakes.RAN == fakes.NAMES


def test_run_setting_changed_back_is_cached(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, config=fakes.config(seed=1))
    run(tmp_path)
    assert fakes.RAN == []


def test_run_force_reruns_the_stage_and_follows_content(tmp_path: Path) -> None:
    run(tmp_path)
    summary = run(tmp_path, force=["trainer"])
    assert fakes.RAN == ["trainer"]  # it wrote the same bytes, so nothing follows
    assert statuses(summary)["trainer"] == "ran"


def test_run_deleted_output_reruns_the_stage(tmp_path: Path) -> None:
    first = run(tmp_path)
    shutil.rmtree(first.stages[1].outputs["model"])
    run(tmp_path)
    assert fakes.RAN == ["trainer"]


def test_run_stage_that_says_not_reusable_reruns(tmp_path: Path) -> None:
    run(tmp_path)
    shutil.rmtree(tmp_path / "serving")
    run(tmp_path)
    assert fakes.RAN == ["pusher"]


def test_run_moved_root_is_still_cached(tmp_path: Path) -> None:
    run(tmp_path / "a", to_stage="evaluator")
    (tmp_path / "a").rename(tmp_path / "b")
    summary = run(tmp_path / "b", to_stage="evaluator")
    assert fakes.RAN == []
    assert str(summary.stages[0].outputs["examples"]).startswith(str(tmp_path / "b"))


def test_run_failing_stage_leaves_nothing_and_skips_the_rest(tmp_path: Path) -> None:
    error = RuntimeError("no luck")
    fakes.HOOKS["trainer"] = fail(error)
    summary = run(tmp_path)
    assert statuses(summary) == {"example_gen": "ran", "trainer": "failed", "evaluator": "skipped", "pusher": "skipped"}
    assert (summary.status, summary.exception) == ("failed", error)
    assert not (tmp_path / "trainer").exists()
    assert files(tmp_path / ".tmp") == []


def test_run_after_failure_resumes_at_the_failed_stage(tmp_path: Path) -> None:
    fakes.HOOKS["trainer"] = fail(RuntimeError("no luck"))
    run(tmp_path)
    fakes.HOOKS.clear()
    summary = run(tmp_path)
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]
    assert summary.status == "succeeded"


def test_run_refusing_stage_keeps_its_outputs_and_skips_the_rest(tmp_path: Path) -> None:
    fakes.REFUSALS += ["The first reason.", "The second."]
    summary = run(tmp_path)
    assert statuses(summary) == {"example_gen": "ran", "trainer": "failed", "evaluator": "skipped", "pusher": "skipped"}
    model = summary.output("model", "model.json")
    assert model is not None
    assert isinstance(summary.exception, Refused)
    assert str(summary.exception) == (
        f"trainer stopped the run, see {model.parent}:\n  The first reason.\n  The second."
    )
    assert summary.to_json()["stages"][1]["outputs"] == {"model": str(model.parent)}


def test_run_refusing_stage_refuses_again_without_doing_the_work_again(tmp_path: Path) -> None:
    fakes.REFUSALS.append("No.")
    run(tmp_path)
    fakes.RAN.clear()
    again = run(tmp_path)
    assert fakes.RAN == []
    assert (again.status, statuses(again)["trainer"], statuses(again)["evaluator"]) == ("failed", "failed", "skipped")
    assert [path.name for path in (tmp_path / "trainer").iterdir()] == ["2"]


def test_run_refusal_that_is_lifted_goes_on_with_the_kept_outputs(tmp_path: Path) -> None:
    fakes.REFUSALS.append("No.")
    run(tmp_path)
    fakes.RAN.clear()
    fakes.REFUSALS.clear()
    assert statuses(run(tmp_path))["trainer"] == "cached"
    assert fakes.RAN == ["evaluator", "pusher"]


def test_run_from_a_later_stage_goes_past_a_refusal(tmp_path: Path) -> None:
    fakes.REFUSALS.append("No.")
    run(tmp_path)
    summary = run(tmp_path, from_stage="evaluator")
    assert (summary.status, statuses(summary)["trainer"]) == ("succeeded", "skipped")


def test_run_empty_output_fails_the_stage(tmp_path: Path) -> None:
    def empty() -> None:
        for file in (tmp_path / ".tmp").rglob("*.json"):
            file.unlink()

    fakes.HOOKS["trainer"] = empty
    assert "left 'model' empty" in str(run(tmp_path).exception)


def test_run_interrupted_marks_the_run_failed_and_raises(tmp_path: Path) -> None:
    fakes.HOOKS["trainer"] = fail(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert files(tmp_path / ".tmp") == []
    with MetadataStore(tmp_path, read_only=True) as store:
        (record,) = store.runs()
    assert record.state == "failed"
    assert record.stages["trainer"] == "failed"


def test_run_killed_resumes_and_removes_what_was_left(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from pipeline import runner\n"
        "from tests.pipeline import fakes\n"
        "fakes.HOOKS['trainer'] = lambda: (print('written', flush=True), time.sleep(60))\n"
        "runner.run(fakes.STAGES, fakes.config(), pathlib.Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=SOURCE_ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
    assert any("model.json" in name for name in files(tmp_path / ".tmp"))  # there is something to remove
    assert not (tmp_path / "trainer").exists()
    summary = run(tmp_path)
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]
    assert statuses(summary)["example_gen"] == "cached"
    assert files(tmp_path / ".tmp") == []
    with MetadataStore(tmp_path, read_only=True) as store:
        assert [record.state for record in store.runs()] == ["interrupted", "succeeded"]


def test_run_killed_between_rename_and_registration_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MetadataStore, "complete_execution", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        assert run(tmp_path).status == "failed"
    assert (tmp_path / "example_gen" / "1").is_dir()
    with MetadataStore(tmp_path) as store:
        store.fail_execution(1, 0.0, "interrupted")  # what the next process would do
    summary = run(tmp_path)
    assert fakes.RAN == fakes.NAMES
    assert not (tmp_path / "example_gen" / "1").exists()
    assert summary.stages[0].outputs["examples"].is_dir()


def test_run_killed_before_it_forgot_its_checkpoint_forgets_it_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(stage: Stage, root: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fakes.Trainer, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert (tmp_path / "checkpoints").is_dir()
    begun: list[bool] = []
    train = fakes.Trainer.run

    def noted(stage: fakes.Trainer, *folders: Any) -> None:
        begun.append((tmp_path / "checkpoints").is_dir())
        train(stage, *folders)

    monkeypatch.setattr(fakes.Trainer, "run", noted)
    assert run(tmp_path, config=fakes.config(seed=1)).status == "succeeded"
    assert begun == [False]  # another training does not find that one's
    assert files(tmp_path / ".tmp") == []


def test_run_stopped_before_it_was_complete_keeps_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(fakes.HOOKS, "trainer", fail(RuntimeError("stopped")))
        assert run(tmp_path).status == "failed"
    assert (tmp_path / "checkpoints" / "step").is_file()
    run(tmp_path, to_stage="example_gen")
    assert (tmp_path / "checkpoints" / "step").is_file()


def test_run_lost_store_keeps_the_old_folders(tmp_path: Path) -> None:
    old = run(tmp_path).stages[0].outputs["examples"]
    (tmp_path / "metadata.sqlite").unlink()
    new = run(tmp_path).stages[0].outputs["examples"]
    assert fakes.RAN == fakes.NAMES
    assert old.is_dir()
    assert new != old


def test_run_goes_on_if_a_folder_of_another_run_vanishes_while_it_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, to_stage="example_gen")
    (tmp_path / "checkpoints").mkdir()
    scan, vanished = os.scandir, []

    def scandir(path: Any = ".") -> Any:
        if Path(path).name == "checkpoints":
            vanished.append(path)
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = execution_folders(tmp_path)
    monkeypatch.undo()
    assert found == [tmp_path / "example_gen" / "1"]
    assert vanished  # guard


def test_run_output_folder_has_its_marker_beside_it(tmp_path: Path) -> None:
    outputs = run(tmp_path).stages[2].outputs
    marker = json.loads((outputs["blessing"].parent / "execution.json").read_text())
    assert outputs["evaluation"].parent == outputs["blessing"].parent == tmp_path / "evaluator" / "3"
    assert marker["stage"] == "evaluator"
    assert set(marker["outputs"]) == {"evaluation", "blessing"}
    assert {"fingerprint", "settings", "environment", "started", "seconds"} <= set(marker)


def test_run_to_skips_later_stages(tmp_path: Path) -> None:
    summary = run(tmp_path, to_stage="trainer")
    assert fakes.RAN == ["example_gen", "trainer"]
    assert statuses(summary)["evaluator"] == statuses(summary)["pusher"] == "skipped"
    assert summary.status == "succeeded"


def test_run_from_uses_earlier_outputs_whatever_the_settings(tmp_path: Path) -> None:
    run(tmp_path)
    summary = run(tmp_path, config=fakes.config(source="inline:other", seed=5), from_stage="evaluator")
    assert statuses(summary)["example_gen"] == statuses(summary)["trainer"] == "skipped"
    assert fakes.RAN == []  # the same model and thresholds: the evaluation is the same
    assert summary.stages[1].outputs["model"].is_dir()


def test_run_from_with_outputs_that_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, to_stage="trainer", config=fakes.config(seed=5))
    with pytest.raises(UsageError, match="evaluator 3, which was made from another 'model' than that of trainer 5"):
        run(tmp_path, from_stage="pusher")
    assert run(tmp_path, from_stage="evaluator", config=fakes.config(seed=5)).status == "succeeded"


def test_run_output_with_a_changed_byte_is_made_again(tmp_path: Path) -> None:
    model = run(tmp_path).stages[1].outputs["model"] / "model.json"
    content = model.read_bytes()
    model.write_bytes(content[:-1] + b"!")
    fakes.RAN.clear()
    summary = run(tmp_path)
    assert fakes.RAN == ["trainer"]  # and as the new model equals the old one, nothing after it
    assert (summary.stages[1].outputs["model"] / "model.json").read_bytes() == content


def test_run_to_the_evaluator_tells_that_the_model_is_refused(tmp_path: Path) -> None:
    summary = run(tmp_path, to_stage="evaluator", config=fakes.config(upper=1.0))
    assert summary.status == "not_blessed"
    assert summary.reasons
    assert statuses(summary)["evaluator"] == "ran"


def test_run_from_without_earlier_outputs_is_refused(tmp_path: Path) -> None:
    run(tmp_path, to_stage="example_gen")
    with pytest.raises(UsageError, match="--from evaluator needs 'model', which trainer makes"):
        run(tmp_path, from_stage="evaluator")
    assert fakes.RAN == []


def test_run_from_after_to_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--to must not come before --from"):
        run(tmp_path, from_stage="pusher", to_stage="trainer")


@pytest.mark.parametrize("arguments", [{"from_stage": "trainr"}, {"to_stage": "trainr"}, {"force": ["trainr"]}])
def test_run_unknown_stage_suggests_the_nearest(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"Received: 'trainr'\. Did you mean 'trainer'\? Stages: example_gen, "):
        run(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_run_not_blessed_skips_the_push_with_reasons(tmp_path: Path) -> None:
    summary = run(tmp_path, config=fakes.config(upper=1.0))
    assert (summary.status, summary.reasons) == ("not_blessed", ("bits_per_char is 2.0, above 1.0.",))
    assert statuses(summary)["pusher"] == "skipped"
    assert summary.pushed_model() is None
    assert not (tmp_path / "serving").exists()


@pytest.mark.parametrize("root", ["file", "file/below"])
def test_run_unwritable_root_is_refused_before_anything_runs(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--root must be a folder that can be written"):
        run(tmp_path / root)
    assert fakes.RAN == []


def test_run_root_below_proc_is_refused() -> None:
    with pytest.raises(UsageError, match="--root must be a folder that can be written"):
        run(Path("/proc/nowhere"))


def test_run_events_tell_of_running_stages_only(tmp_path: Path) -> None:
    run(tmp_path, to_stage="example_gen")
    events: list[tuple[str, str]] = []
    run(tmp_path, to_stage="trainer", on_event=lambda result: events.append((result.name, result.status)))
    assert events[:3] == [("example_gen", "cached"), ("trainer", "running"), ("trainer", "ran")]


def test_summary_json_has_the_promised_keys(tmp_path: Path) -> None:
    values = run(tmp_path).to_json()
    assert list(values) == ["status", "run_id", "stages", "metrics", "pushed_model", "report"]
    assert values["metrics"] == {"eval": {"bits_per_char": 2.0}}
    assert values["pushed_model"] == str(tmp_path / "serving" / "fake" / "1")
    assert [set(stage) - {"name", "status", "seconds", "outputs"} for stage in values["stages"]] == [
        set(),
        {"resumed_from_step"},
        set(),
        set(),
    ]
    assert values["stages"][1]["resumed_from_step"] is None


def test_run_stage_given_input_is_used(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "documents.txt").write_text("mine")
    summary = runner.run_stage(
        fakes.STAGES, fakes.config(), tmp_path / "root", name="trainer", inputs={"examples": given}
    )
    assert json.loads((summary.stages[0].outputs["model"] / "model.json").read_text()) == ["mine", 0]


def test_run_stage_missing_input_is_the_newest_output(tmp_path: Path) -> None:
    run(tmp_path, config=fakes.config(source="inline:old"))
    run(tmp_path, config=fakes.config(source="inline:new"))
    summary = runner.run_stage(fakes.STAGES, fakes.config(seed=9), tmp_path, name="trainer")
    assert json.loads((summary.stages[0].outputs["model"] / "model.json").read_text()) == ["inline:new", 9]


def test_run_stage_without_any_input_names_its_maker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="stage trainer needs 'examples', which example_gen makes"):
        runner.run_stage(fakes.STAGES, fakes.config(), tmp_path, name="trainer")


def test_run_stage_unknown_input_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'examples'"):
        runner.run_stage(fakes.STAGES, fakes.config(), tmp_path, name="trainer", inputs={"exampels": tmp_path})


def test_run_stage_outputs_are_copied_whether_it_runs_or_not(tmp_path: Path) -> None:
    for attempt, status in (("first", "ran"), ("second", "cached")):
        copy = tmp_path / attempt / "examples"
        summary = runner.run_stage(
            fakes.STAGES, fakes.config(), tmp_path / "root", name="example_gen", outputs={"examples": copy}
        )
        assert statuses(summary) == {"example_gen": status}
        assert digest_folder(copy) == digest_folder(summary.stages[0].outputs["examples"])


def test_run_stage_output_of_an_attempt_that_was_cut_off_is_completed(tmp_path: Path) -> None:
    copy = tmp_path / "examples"
    copy.mkdir()
    (copy / "documents.txt").write_text("inl")
    run_example_gen = {"name": "example_gen", "outputs": {"examples": copy}}
    runner.run_stage(fakes.STAGES, fakes.config(), tmp_path / "root", **run_example_gen)
    assert (copy / "documents.txt").read_text() == "inline:hello"


def test_run_stage_output_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "mine"
    copy.mkdir()
    (copy / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="must hold nothing else"):
        runner.run_stage(
            fakes.STAGES, fakes.config(), tmp_path / "root", name="example_gen", outputs={"examples": copy}
        )
    assert files(copy) == ["letter.txt"]


def test_run_stage_that_fails_copies_nothing(tmp_path: Path) -> None:
    fakes.HOOKS["example_gen"] = fail(RuntimeError("no luck"))
    copy = tmp_path / "examples"
    runner.run_stage(fakes.STAGES, fakes.config(), tmp_path / "root", name="example_gen", outputs={"examples": copy})
    assert not copy.exists()


def test_run_stage_unknown_output_suggests_the_nearest_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--output must name an output of example_gen\..* Did you mean 'examples'"):
        runner.run_stage(
            fakes.STAGES, fakes.config(), tmp_path / "root", name="example_gen", outputs={"exampels": tmp_path}
        )
    assert fakes.RAN == []


class Needy(Stage):
    """Reads what nobody writes."""

    inputs: ClassVar = {"model": Examples}
    outputs: ClassVar = {"examples": Examples}


class Typed(Stage):
    """Writes a model."""

    outputs: ClassVar = {"model": Model}


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ((Needy,), "output of an earlier stage. Received: needy.model"),
        ((Typed, Needy), "needy.model is Examples, typed writes Model"),
        ((Typed, Typed), "Received: 'typed' twice"),
        ((fakes.ExampleGen, Typed, type("Other", (Typed,), {})), "'model' of typed and other"),
    ],
)
def test_producers_bad_wiring_is_refused(stages: tuple[type[Stage], ...], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        graph.producers(stages)


# ---- A stage that configures those after it -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Tuner(Stage):
    """Finds that the best seed is 7."""

    inputs: ClassVar = {"examples": Examples}
    outputs: ClassVar = {"best_hyperparameters": HyperParameters}
    configures: ClassVar = True

    def configured(self, config: Config, outputs: Mapping[str, Path]) -> Config:
        seed = int((outputs["best_hyperparameters"] / "seed").read_text())
        return config.model_copy(update={"trainer": config.trainer.model_copy(update={"seed": seed})})

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        (outputs["best_hyperparameters"] / "seed").write_text("7")


TUNED = (fakes.STAGES[0], Tuner, *fakes.STAGES[1:])


def seed_of(summary: RunSummary) -> int:
    path = summary.output("model", "model.json")
    assert path is not None
    return json.loads(path.read_text())[1]


def test_run_stages_after_one_that_configures_get_its_configuration(tmp_path: Path) -> None:
    assert seed_of(run(tmp_path / "without")) == 0
    assert seed_of(runner.run(TUNED, fakes.config(), tmp_path)) == 7
    again = runner.run(TUNED, fakes.config(), tmp_path)
    assert set(statuses(again).values()) == {"cached"}
    assert seed_of(again) == 7


def test_run_from_a_later_stage_gets_the_configuration_found_before(tmp_path: Path) -> None:
    runner.run(TUNED, fakes.config(), tmp_path)
    later = runner.run(TUNED, fakes.config(), tmp_path, from_stage="trainer", force=["trainer"])
    assert (statuses(later)["trainer"], seed_of(later)) == ("ran", 7)


def test_stage_alone_gets_the_configuration_found_before_unless_it_comes_first(tmp_path: Path) -> None:
    runner.run(TUNED, fakes.config(), tmp_path)
    assert seed_of(runner.run_stage(TUNED, fakes.config(), tmp_path, name="trainer")) == 7
    assert statuses(runner.run_stage(TUNED, fakes.config(seed=1), tmp_path, name="tuner")) == {"tuner": "cached"}


def test_stage_alone_is_configured_by_the_output_that_is_given(tmp_path: Path) -> None:
    found = runner.run(TUNED, fakes.config(), tmp_path / "elsewhere", to_stage="tuner")
    given = {key: path for stage in found.stages for key, path in stage.outputs.items()}
    assert set(given) == {"examples", "best_hyperparameters"}
    assert seed_of(runner.run_stage(TUNED, fakes.config(), tmp_path / "root", name="trainer", inputs=given)) == 7


@pytest.mark.parametrize("name", ["trainer", "evaluator"])
def test_stage_after_one_that_configures_and_has_not_run_is_refused(tmp_path: Path, name: str) -> None:
    run(tmp_path)
    with pytest.raises(UsageError, match=f"stage {name} needs 'best_hyperparameters', which tuner makes"):
        runner.run_stage(TUNED, fakes.config(), tmp_path, name=name)
