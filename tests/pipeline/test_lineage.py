"""Lineage: what made an artifact and what it was used in, as text, JSON and a graph."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import lineage_text, runner
from pipeline.cli import main
from pipeline.errors import UsageError
from pipeline.lineage import Lineage, trace
from pipeline.metadata import Execution
from tests.pipeline import fakes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """example_gen 1 → trainer 2 → evaluator 3 → pusher 4; and, of seed 1, trainer 5 → evaluator 6 → pusher 7."""
    for seed in (0, 1):
        summary = runner.run(fakes.STAGES, fakes.config(seed=seed), tmp_path / "root", config_path="fake.yaml")
        assert summary.status == "succeeded"
    return tmp_path / "root"


def traced(path: Path) -> Lineage:
    found = trace(path)
    assert found is not None
    return found


def numbers(executions: tuple[Execution, ...]) -> list[int]:
    return [execution.id for execution in executions]


def test_trace_artifact_goes_back_to_the_corpus_and_forward_to_the_push(root: Path) -> None:
    found = traced(root / "trainer" / "2" / "model")
    assert (numbers(found.before), found.maker.id, numbers(found.after)) == ([1], 2, [3, 4])


def test_trace_second_model_of_a_root_is_not_mixed_with_the_first(root: Path) -> None:
    found = traced(root / "trainer" / "5" / "model")
    assert (numbers(found.before), found.maker.id, numbers(found.after)) == ([1], 5, [6, 7])


def test_trace_what_both_models_read_was_used_in_both(root: Path) -> None:
    found = traced(root / "example_gen" / "1" / "examples")
    assert (numbers(found.before), numbers(found.after)) == ([], [2, 3, 4, 5, 6, 7])


def test_trace_file_in_an_artifact_is_that_artifact(root: Path) -> None:
    found = traced(root / "evaluator" / "3" / "evaluation" / "metrics.json")
    assert found.artifact.path == root / "evaluator" / "3" / "evaluation"


def test_trace_record_of_an_execution_is_its_first_output(root: Path) -> None:
    assert traced(root / "trainer" / "2" / "execution.json").artifact.path == root / "trainer" / "2" / "model"


def test_trace_version_that_was_pushed_elsewhere_needs_the_root(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "models" / "fake" / "1"
    shutil.copytree(root / "serving" / "fake" / "1", elsewhere)
    record = root / "pusher" / "4" / "pushed_model" / "pushed.json"
    record.write_text(json.dumps({"destination": str(elsewhere)}))
    with pytest.raises(UsageError, match="name the root with --root"):
        trace(elsewhere)
    found = trace(elsewhere, root)
    assert found is not None
    assert (numbers(found.before), found.maker.id) == ([1, 2, 3], 4)
    assert main(["lineage", str(elsewhere), "--root", str(root)]) == 0


def test_trace_second_output_is_not_taken_for_the_first(root: Path) -> None:
    assert traced(root / "evaluator" / "3" / "blessing").artifact.type == "ModelBlessing"


def test_trace_folder_of_an_execution_is_its_first_output(root: Path) -> None:
    found = traced(root / "evaluator" / "6")
    assert (found.artifact.type, found.maker.id) == ("ModelEvaluation", 6)


def test_trace_pushed_version_is_what_was_pushed_there_last(root: Path) -> None:
    found = traced(root / "serving" / "fake" / "1")
    assert (found.artifact.type, found.maker.id, numbers(found.before)) == ("PushedModel", 7, [1, 5, 6])


def test_trace_file_of_a_pushed_version_is_the_push(root: Path) -> None:
    assert traced(root / "serving" / "fake" / "1" / "model.json").maker.stage == "pusher"


def test_trace_relative_path_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "trainer")
    assert traced(Path("2/model")).maker.id == 2


def test_trace_removed_artifact_is_still_known(root: Path) -> None:
    shutil.rmtree(root / "trainer" / "2")
    assert traced(root / "trainer" / "2" / "model").maker.id == 2


def test_trace_what_no_execution_made_is_none(root: Path) -> None:
    assert trace(root / "trainer" / "99" / "model") is None


def test_trace_outside_any_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"PATH must lie in the root folder of a pipeline.* Received: '.*elsewhere'"):
        trace(tmp_path / "elsewhere")


def test_trace_input_from_outside_has_no_maker(root: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "documents.txt").write_text("mine")
    summary = runner.run_stage(fakes.STAGES, fakes.config(), root, name="trainer", inputs={"examples": given})
    found = traced(summary.stages[0].outputs["model"])
    assert found.before == ()
    assert f" {given}\n" in lineage_text.as_text(found)


# ---- Forms ----------------------------------------------------------------------------------------------------------


def test_text_tells_makers_users_settings_and_libraries(root: Path) -> None:
    found = traced(root / "trainer" / "5" / "model")
    lines = lineage_text.as_text(found).splitlines()
    assert lines[0] == f"Model trainer/5/model, sha256 {found.artifact.digest}"
    titles = ["made from", "made by", "used by", "settings that it depends on", "libraries"]
    assert [line for line in lines if line in titles] == titles
    steps = [line.split(",")[0].strip() for line in lines if ", in run " in line]
    assert steps == ["example_gen 1", "trainer 5", "evaluator 6", "pusher 7"]
    assert "  trainer.seed: 1" in lines
    assert "  example_gen.source: inline:hello" in lines
    assert "numpy " in lines[-1]


def test_text_names_the_runs_that_an_execution_was_part_of(root: Path) -> None:
    text = lineage_text.as_text(traced(root / "trainer" / "5" / "model"))
    (corpus,) = [line for line in text.splitlines() if line.startswith("  example_gen 1")]
    (trainer,) = [line for line in text.splitlines() if line.startswith("  trainer 5")]
    assert ", in run 1, 2, code " in corpus
    assert ", in run 2, code " in trainer


def test_text_of_what_nothing_has_read_says_so(root: Path) -> None:
    assert "\nused by nothing yet\n" in lineage_text.as_text(traced(root / "pusher" / "7" / "pushed_model"))


def test_text_marks_removed_folders_only(root: Path) -> None:
    shutil.rmtree(root / "example_gen")
    lines = lineage_text.as_text(traced(root / "trainer" / "2" / "model")).splitlines()
    marked = {line.split()[3] for line in lines if line.endswith(" (removed)")}
    assert marked == {"example_gen/1/examples"}


def as_object(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(lineage_text.as_json(traced(path)))
    return values


def test_json_speaks_of_artifacts_executions_and_contexts(root: Path) -> None:
    values = as_object(root / "trainer" / "5" / "model")
    assert list(values) == ["root", "artifact", "made_by", "made_from", "used_by"]
    assert values["artifact"] == {
        "type": "Model",
        "uri": "trainer/5/model",
        "sha256": traced(root / "trainer" / "5" / "model").artifact.digest,
        "exists": True,
    }
    maker = values["made_by"]
    assert (maker["execution"], maker["type"], maker["contexts"]) == (5, "trainer", ["run 2"])
    assert maker["inputs"] == {"examples": values["made_from"][0]["outputs"]["examples"]}
    assert maker["outputs"] == {"model": values["artifact"]}
    assert maker["properties"]["settings"]["trainer"]["seed"] == 1
    assert len(maker["properties"]["code"]) == 64
    assert [step["execution"] for step in values["used_by"]] == [6, 7]


def test_json_code_digest_is_that_of_equal_code(root: Path) -> None:
    first, second = (as_object(root / "trainer" / number / "model")["made_by"] for number in ("2", "5"))
    assert first["properties"]["code"] == second["properties"]["code"]
    assert first["fingerprint"] != second["fingerprint"]


def test_json_says_what_is_gone(root: Path) -> None:
    shutil.rmtree(root / "example_gen")
    values = as_object(root / "trainer" / "2" / "model")
    assert values["artifact"]["exists"]
    assert not values["made_from"][0]["outputs"]["examples"]["exists"]


def test_mermaid_draws_each_execution_and_artifact_once(root: Path) -> None:
    lines = lineage_text.as_mermaid(traced(root / "trainer" / "2" / "model")).splitlines()
    assert lines[0] == "flowchart LR"
    boxes = [line.strip() for line in lines if '["' in line and '(["' not in line]
    assert boxes == ['e1["example_gen 1"]', 'e2["trainer 2"]', 'e3["evaluator 3"]', 'e4["pusher 4"]']
    keys = [line.split('(["')[1].split("<br/>")[0] for line in lines if '(["' in line]
    assert keys == ["examples", "model", "evaluation", "blessing", "pushed_model"]


def test_mermaid_arrows_follow_the_events_and_the_artifact_is_thick(root: Path) -> None:
    lines = lineage_text.as_mermaid(traced(root / "trainer" / "2" / "model")).splitlines()
    arrows = [line.strip() for line in lines if "-->" in line]
    assert arrows[:4] == ["e1 --> a0", "a0 --> e2", "e2 --> a1", "a1 --> e3"]
    assert len(arrows) == len(set(arrows)) == 9
    assert lines[-1] == "  style a1 stroke-width:4px"


# ---- On the command line --------------------------------------------------------------------------------------------


def test_lineage_command_prints_text(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(root / "trainer" / "2" / "model")]) == 0
    assert capsys.readouterr().out.startswith("Model trainer/2/model, sha256 ")


def test_lineage_command_json_is_one_object(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(root / "trainer" / "2" / "model"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["made_by"]["execution"] == 2


def test_lineage_command_mermaid_is_a_flowchart(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(root / "trainer" / "2" / "model"), "--mermaid"]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR\n")


def test_lineage_command_two_forms_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(root), "--mermaid", "--json"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_lineage_command_unknown_path_exits_2(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(root / "trainer")]) == 2
    assert "which no execution made" in capsys.readouterr().err


def test_lineage_command_outside_any_root_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(tmp_path)]) == 2
    assert "which holds metadata.sqlite" in capsys.readouterr().err
