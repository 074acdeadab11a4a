"""Why a stage runs, in words; and `run --explain`, which says it without running anything."""

import json
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline import runner
from pipeline.cli import main
from pipeline.decision import difference
from pipeline.errors import UsageError
from tests.pipeline import fakes

PARTS: dict[str, Any] = {
    "stage": "trainer",
    "class": "Trainer",
    "code": {"components.trainer.stage": "a1", "components.trainer.loop": "b2"},
    "settings": {"trainer": {"seed": 0, "optimizer": {"name": "adam"}}},
    "environment": {"backend": "tensorflow", "corpus": "c" * 64},
    "inputs": {"examples": "d" * 64},
}


def changed(part: str, values: Mapping[str, Any] | str) -> dict[str, Any]:
    return {**PARTS, part: values}


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        (
            changed("settings", {"trainer": {"seed": 1, "optimizer": {"name": "adam"}}}),
            "trainer.seed 0 → 1",
        ),
        (
            changed("settings", {"trainer": {"seed": 0, "optimizer": {"name": "sgd"}}}),
            'trainer.optimizer.name "adam" → "sgd"',
        ),
        (
            changed("settings", {"trainer": {"seed": 0, "epochs": 3, "optimizer": {"name": "adam"}}}),
            "trainer.epochs nothing → 3",
        ),
        (changed("settings", {"trainer": {"seed": 0}}), 'trainer.optimizer.name "adam" → nothing'),
        (changed("environment", {"backend": "jax", "corpus": "c" * 64}), 'backend "tensorflow" → "jax"'),
        (changed("environment", {"backend": "tensorflow", "corpus": "e" * 64}), "corpus is another"),
        (changed("inputs", {"examples": "f" * 64}), "examples is another"),
        (
            changed("code", {"components.trainer.stage": "a1", "components.trainer.loop": "b3"}),
            "code of components.trainer.loop",
        ),
        (changed("code", {"components.trainer.stage": "a2"}), "code of components.trainer.loop and 1 more"),
        (changed("class", "Other"), "class Trainer → Other"),
    ],
)
def test_difference_of_one_part_is_named(now: Mapping[str, Any], sentence: str) -> None:
    assert difference(PARTS, now) == sentence


def test_difference_settings_are_named_before_code() -> None:
    now = {**changed("settings", {"trainer": {"seed": 1, "optimizer": {"name": "adam"}}}), "code": {}}
    assert difference(PARTS, now) == "trainer.seed 0 → 1; code of components.trainer.loop and 1 more"


def test_difference_of_many_keys_names_three_and_counts_the_rest() -> None:
    now = changed("settings", {"trainer": {"a": 1, "b": 2, "c": 3, "seed": 0}})
    sentence = "trainer.a nothing → 1; trainer.b nothing → 2; trainer.c nothing → 3, and 1 more"
    assert difference(PARTS, now) == sentence


def test_difference_long_value_is_cut() -> None:
    sentence = difference(PARTS, changed("environment", {"backend": "x" * 200, "corpus": "c" * 64}))
    assert sentence == f'backend "tensorflow" → "{"x" * 58}…'


def test_difference_from_an_execution_that_recorded_nothing_says_so() -> None:
    assert difference({}, PARTS) == "made by an older version of this program"


# ---- What a run says ------------------------------------------------------------------------------------------------


def reasons(root: Path, config: Any = None, **arguments: Any) -> dict[str, str]:
    """Runs the pipeline; returns why each stage that ran did so."""
    summary = runner.run(fakes.STAGES, config or fakes.config(), root, **arguments)
    assert summary.exception is None
    return {stage.name: stage.reason for stage in summary.stages if stage.status == "ran"}


def test_run_first_time_says_so(tmp_path: Path) -> None:
    assert reasons(tmp_path) == dict.fromkeys(fakes.NAMES, "first time")


def test_run_unchanged_gives_no_reason(tmp_path: Path) -> None:
    reasons(tmp_path)
    assert reasons(tmp_path) == {}


def test_run_changed_setting_and_its_consequences_are_told(tmp_path: Path) -> None:
    reasons(tmp_path)
    assert reasons(tmp_path, fakes.config(seed=1)) == {
        "trainer": "trainer.seed 0 → 1",
        "evaluator": "model is another",
        "pusher": "model is another",
    }


def test_run_reason_is_told_when_the_stage_begins(tmp_path: Path) -> None:
    reasons(tmp_path)
    events: list[tuple[str, str, str]] = []
    reasons(
        tmp_path,
        fakes.config(seed=1),
        to_stage="trainer",
        on_event=lambda e: events.append((e.name, e.status, e.reason)),
    )
    assert ("trainer", "running", "trainer.seed 0 → 1") in events


def test_run_forced_stage_says_so(tmp_path: Path) -> None:
    reasons(tmp_path)
    assert reasons(tmp_path, force=["evaluator"]) == {"evaluator": "--force"}


def test_run_removed_output_is_named(tmp_path: Path) -> None:
    reasons(tmp_path)
    shutil.rmtree(tmp_path / "evaluator" / "3" / "blessing")
    assert reasons(tmp_path) == {"evaluator": "blessing (evaluator/3/blessing) is gone"}


def test_run_damaged_output_is_named(tmp_path: Path) -> None:
    reasons(tmp_path)
    (tmp_path / "trainer" / "2" / "model" / "model.json").write_text("[]")
    assert reasons(tmp_path) == {"trainer": "model (trainer/2/model) has changed since it was written"}


def test_run_lost_effect_is_told(tmp_path: Path) -> None:
    reasons(tmp_path)
    shutil.rmtree(tmp_path / "serving")
    assert reasons(tmp_path) == {"pusher": "what it did outside its outputs is no longer so"}


def test_run_after_an_execution_that_recorded_nothing_says_so(tmp_path: Path) -> None:
    reasons(tmp_path)
    with sqlite3.connect(tmp_path / "metadata.sqlite") as database:
        database.execute("UPDATE executions SET properties = '{}'")
    database.close()
    assert reasons(tmp_path, fakes.config(seed=1))["trainer"] == "made by an older version of this program"


def test_run_another_fingerprint_of_equal_parts_is_told(tmp_path: Path) -> None:
    reasons(tmp_path)
    with sqlite3.connect(tmp_path / "metadata.sqlite") as database:
        database.execute("UPDATE executions SET fingerprint = 'f' WHERE stage = 'pusher'")
    database.close()
    assert reasons(tmp_path) == {"pusher": "another fingerprint"}


# ---- What `--explain` says ------------------------------------------------------------------------------------------


def explained(root: Path, config: Any = None, **arguments: Any) -> dict[str, tuple[bool, str]]:
    fakes.RAN.clear()
    found = runner.explain(fakes.STAGES, config or fakes.config(), root, **arguments)
    assert fakes.RAN == []
    return {one.name: (one.runs, one.reason) for one in found}


def test_explain_without_a_root_says_first_time_and_makes_none(tmp_path: Path) -> None:
    assert explained(tmp_path / "root") == dict.fromkeys(fakes.NAMES, (True, "first time"))
    assert not (tmp_path / "root").exists()


def test_explain_unchanged_says_so_and_writes_nothing(tmp_path: Path) -> None:
    reasons(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert explained(tmp_path) == dict.fromkeys(fakes.NAMES, (False, "unchanged"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_explain_change_is_announced_downstream(tmp_path: Path) -> None:
    reasons(tmp_path)
    assert explained(tmp_path, fakes.config(seed=1)) == {
        "example_gen": (False, "unchanged"),
        "trainer": (True, "trainer.seed 0 → 1"),
        "evaluator": (True, "model made anew by trainer"),
        "pusher": (True, "model, blessing made anew by trainer, evaluator"),
    }


def test_explain_change_of_an_upstream_and_an_own_setting_names_both(tmp_path: Path) -> None:
    reasons(tmp_path)
    found = explained(tmp_path, fakes.config(seed=1, upper=3.0))
    assert found["evaluator"] == (
        True,
        "evaluator.thresholds.bits_per_char.upper null → 3.0; model made anew by trainer",
    )


def test_explain_setting_changed_back_finds_the_earlier_execution(tmp_path: Path) -> None:
    reasons(tmp_path)
    reasons(tmp_path, fakes.config(seed=1))
    assert explained(tmp_path) == dict.fromkeys(fakes.NAMES, (False, "unchanged"))


def test_explain_forced_stage_is_announced_downstream(tmp_path: Path) -> None:
    reasons(tmp_path)
    found = explained(tmp_path, force=["evaluator"])
    assert found["trainer"] == (False, "unchanged")
    assert found["evaluator"] == (True, "--force")
    assert found["pusher"] == (True, "blessing made anew by evaluator")


def test_explain_stages_before_from_and_after_to_are_not_asked_for(tmp_path: Path) -> None:
    reasons(tmp_path)
    found = explained(tmp_path, fakes.config(seed=1), from_stage="trainer", to_stage="evaluator")
    assert found == {
        "example_gen": (False, "not asked for"),
        "trainer": (True, "trainer.seed 0 → 1"),
        "evaluator": (True, "model made anew by trainer"),
        "pusher": (False, "not asked for"),
    }


def test_explain_from_takes_the_newest_outputs_as_run_does(tmp_path: Path) -> None:
    reasons(tmp_path)
    reasons(tmp_path, fakes.config(source="inline:other"), to_stage="example_gen")
    assert explained(tmp_path, from_stage="trainer", to_stage="trainer")["trainer"] == (True, "examples is another")
    assert reasons(tmp_path, from_stage="trainer", to_stage="trainer") == {"trainer": "examples is another"}


def test_explain_damaged_output_is_named(tmp_path: Path) -> None:
    reasons(tmp_path)
    (tmp_path / "trainer" / "2" / "model" / "model.json").write_text("[]")
    assert explained(tmp_path)["trainer"] == (True, "model (trainer/2/model) has changed since it was written")


def test_explain_in_a_relative_root_and_through_a_link_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons(tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / "trainer" / "2" / "model")
    (tmp_path / "link").symlink_to("root")
    monkeypatch.chdir(tmp_path)
    for root in (Path("root"), Path("link"), tmp_path / "root"):
        assert explained(root)["trainer"] == (True, "model (trainer/2/model) is gone")


def test_explain_from_without_what_it_needs_is_refused_as_run_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--from evaluator needs 'model', which trainer makes and has not made here"):
        explained(tmp_path / "new", from_stage="evaluator")
    reasons(tmp_path / "root", to_stage="trainer")
    (tmp_path / "root" / "trainer" / "2" / "model" / "model.json").write_text("[]")
    with pytest.raises(UsageError, match="--from evaluator needs 'model', whose folder is gone or changed"):
        explained(tmp_path / "root", from_stage="evaluator")


def test_force_of_a_stage_that_does_not_run_is_refused(tmp_path: Path) -> None:
    reasons(tmp_path)
    for span in ({"from_stage": "evaluator"}, {"to_stage": "example_gen"}):
        with pytest.raises(UsageError, match=r"--force must name a stage that may run\. Received: 'trainer'"):
            explained(tmp_path, force=["trainer"], **span)
        with pytest.raises(UsageError, match="--force must name a stage that may run"):
            reasons(tmp_path, force=["trainer"], **span)


def test_explain_unknown_stage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--force must be a stage\. Received: 'trainr'\. Did you mean 'trainer'\?"):
        explained(tmp_path, force=["trainr"])


# ---- On the command line --------------------------------------------------------------------------------------------


def test_run_explain_prints_a_line_for_each_stage_and_makes_no_root(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", recipe, "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=2) for line in lines] == [[name, "runs", "first time"] for name in fakes.NAMES]
    assert not Path("runs").exists()


def test_run_explain_as_json_has_name_runs_and_reason(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--config", recipe])
    fakes.RAN.clear()
    capsys.readouterr()
    assert main(["run", "--config", recipe, "--explain", "--json", "--set", "trainer.seed=4", "--to", "trainer"]) == 0
    assert fakes.RAN == []
    assert json.loads(capsys.readouterr().out) == {
        "stages": [
            {"name": "example_gen", "runs": False, "reason": "unchanged"},
            {"name": "trainer", "runs": True, "reason": "trainer.seed 0 → 4"},
            {"name": "evaluator", "runs": False, "reason": "not asked for"},
            {"name": "pusher", "runs": False, "reason": "not asked for"},
        ]
    }


def test_run_explain_unknown_stage_exits_2(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", recipe, "--explain", "--no-cache", "pushr"]) == 2
    assert "Did you mean 'pusher'?" in capsys.readouterr().err
