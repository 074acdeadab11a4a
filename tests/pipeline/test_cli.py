"""The command line: exit codes, messages, the JSON line, and what the lists show."""

import io
import json
import sqlite3
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from components.lab import catalogue
from pipeline.cli import main
from pipeline.code import SOURCE_ROOT
from pipeline.commands import report
from tests.pipeline import fakes

pytestmark = pytest.mark.usefixtures("recipe")


def fail() -> None:
    raise RuntimeError("no luck")


def run(*arguments: str) -> int:
    return main(["run", "--config", "recipe.yaml", *arguments])


def test_run_succeeds_shows_stages_report_and_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = capsys.readouterr().out
    assert "trainer           ran" in out
    assert "bits per character: 2.0" in out
    assert "sample --model runs/fake/serving/fake --stream" in out


def test_run_default_root_is_named_after_the_pipeline(tmp_path: Path) -> None:
    run()
    assert (tmp_path / "runs" / "fake" / "metadata.sqlite").is_file()


def test_run_json_is_the_last_and_only_line_of_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    def chat() -> None:
        sys.stdout.write("chatter\n")
        subprocess.run(["echo", "child"], check=True)

    fakes.HOOKS["trainer"] = chat
    assert run("--json") == 0
    out, err = capfd.readouterr()
    assert out.count("\n") == 1
    assert json.loads(out)["status"] == "succeeded"
    assert "chatter" in err
    assert "child" in err


def test_run_tells_where_its_report_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert "All of it: runs/fake/reports/1/report.html\n" in capsys.readouterr().out
    fakes.HOOKS["trainer"] = fail
    run("--json", "--force", "trainer")
    report = tmp_path / "runs" / "fake" / "reports" / "2" / "report.html"
    assert json.loads(capsys.readouterr().out)["report"] == str(report)
    assert "no luck" in report.read_text("utf-8")


def test_run_whose_report_cannot_be_written_is_what_it_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/fake").mkdir(parents=True)
    Path("runs/fake/reports").touch()
    assert run("--json") == 0
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert (values["status"], values["report"]) == ("succeeded", None)
    assert "error: Report: it could not be written" in err


def test_run_failing_stage_exits_1_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    fakes.HOOKS["trainer"] = fail
    assert run() == 1
    assert capsys.readouterr().err == "error: no luck\n"


def test_run_failing_stage_with_json_reports_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    fakes.HOOKS["trainer"] = fail
    assert run("--json") == 1
    values = json.loads(capsys.readouterr().out)
    assert (values["status"], values["error"]) == ("failed", "no luck")


def test_run_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    fakes.HOOKS["trainer"] = fail
    run("--debug")
    assert "Traceback" in capsys.readouterr().err


def test_run_not_blessed_exits_3_with_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--set", "evaluator.thresholds.bits_per_char.upper=1", "--json") == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["reasons"] == ["bits_per_char is 2.0, above 1.0."]
    assert "bits_per_char is 2.0, above 1.0." in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "--config", "none.yaml"], "Received: 'none.yaml'"),
        (["run", "--config", "./none.yaml"], "must exist"),
        (["run", "--config", "recipe.yaml", "--set", "model.unit=3"], "Did you mean 'units'?"),
        (["run", "--config", "recipe.yaml", "--set", "model.units=-3"], "model.units must be an integer > 0"),
        (["run", "--config", "recipe.yaml", "--from", "trainr"], "--from must be a stage. Received: 'trainr'. Did you"),
        (["run", "--config", "recipe.yaml", "--to", "x"], "Stages: example_gen, trainer, evaluator, pusher."),
        (["run", "--config", "recipe.yaml", "--root", "recipe.yaml/x"], "--root must be a folder that can be written"),
        (["stage", "trainr", "--config", "recipe.yaml"], "Did you mean 'trainer'?"),
        (["stage", "trainer", "--config", "recipe.yaml", "--input", "examples"], "--input must be KEY=PATH"),
        (["stage", "trainer", "--config", "recipe.yaml", "--input", "examples=none"], "must be an existing folder"),
        (["rnu"], "Did you mean 'run'?"),
        ([], "required: COMMAND"),
        (["run", "--forse", "trainer"], "unrecognized arguments"),
        (["bulk", "--model", "."], "required: --output, FILE"),
        (["bulk", "--model", ".", "--output", "o", "--workers", "0", "f"], "--workers must be >= 1. Received: 0."),
        (["bulk", "--model", ".", "--output", "o", "--batch-size", "0", "f"], "--batch-size must be >= 1"),
        (["bulk", "--model", ".", "--output", "o", "--seed", "-1", "f"], "--seed must be >= 0"),
        (["bulk", "--model", ".", "--output", "o", "--set", "top_k", "f"], "--set must be NAME=VALUE"),
        (["bulk", "--model", ".", "--output", "o", "--format", "csv", "f"], "invalid choice: 'csv'"),
        (["runs", "--root", "none"], "--root must be an existing folder"),
    ],
)
def test_main_bad_usage_exits_2_with_one_line(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.yaml"]


def test_run_unknown_recipe_suggests_the_nearest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.commands.RECIPES", tmp_path)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert main(["run", "--config", "recpie"]) == 2
    assert "Did you mean 'recipe'? Recipes: recipe." in stderr.getvalue()
    assert main(["run", "--config", "recipe"]) == 0


def test_stage_runs_one_stage(capsys: pytest.CaptureFixture[str]) -> None:
    run("--to", "example_gen")
    assert main(["stage", "trainer", "--config", "recipe.yaml"]) == 0
    assert fakes.RAN == ["example_gen", "trainer"]


def test_stage_hands_over_a_refusal_and_the_stage_that_heeds_it_exits_3(tmp_path: Path) -> None:
    model, blessing, pushed = (f"{key}={tmp_path / key}" for key in ("model", "blessing", "pushed_model"))
    assert run("--to", "trainer") == 0
    strict = ["--config", "recipe.yaml", "--set", "evaluator.thresholds.bits_per_char.upper=1"]
    assert main(["stage", "evaluator", *strict]) == 3
    assert main(["stage", "trainer", *strict, "--output", model]) == 0
    assert main(["stage", "evaluator", *strict, "--input", model, "--output", blessing]) == 0
    assert (tmp_path / "blessing" / "NOT_BLESSED").is_file()
    given = ["--input", model, "--input", blessing]
    assert main(["stage", "pusher", *strict, *given, "--output", pushed]) == 3
    assert not (tmp_path / "pushed_model").exists()


def test_bulk_passes_its_arguments_and_shows_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[dict[str, Any]] = []
    summary = {"read": 3, "answered": 2, "bad": 1, "tokens": 1200, "tokens_per_second": 400.0}

    def infer(**arguments: Any) -> dict[str, Any]:
        made.append(arguments)
        return summary

    module = types.ModuleType("components.bulk_inferrer.bulk")
    module.__dict__.update(infer=infer)
    monkeypatch.setitem(sys.modules, "components.bulk_inferrer.bulk", module)
    line = ["bulk", "--model", "m", "--output", "o", "--set", "top_k=3", "--set", "x=a=b", "--workers", "2", "a", "b"]
    assert main([*line, "--seed", "4", "--field", "t", "--key", "id", "--format", "tfrecord"]) == 0
    assert made == [
        {
            "model": Path("m"),
            "files": ["a", "b"],
            "output": Path("o"),
            "signature": "serving_default",
            "format": "tfrecord",
            "field": "t",
            "key": "id",
            "seed": 4,
            "options": {"top_k": "3", "x": "a=b"},
            "workers": 2,
            "batch_size": 128,
            "longest": 100_000,
        }
    ]
    out = capsys.readouterr().out
    assert out == "3 records read, 2 answered, 1 bad (o/bad_records.jsonl); 1,200 tokens, 400 a second: o\n"

    summary.update(answered=0, bad=3)
    assert main([*line, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == summary


def test_runs_lists_every_root(capsys: pytest.CaptureFixture[str]) -> None:
    main(["runs"])
    assert capsys.readouterr().out == "No runs yet.\n"
    run()
    run("--set", "trainer.seed=1")
    capsys.readouterr()
    assert main(["runs"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["root", "run", "started"]
    assert "4 ran" in first
    assert "3 ran, 1 cached" in second
    assert main(["runs", "--root", "runs/fake", "--json"]) == 0
    (record, _) = json.loads(capsys.readouterr().out)["runs"]
    assert record["stages"] == dict.fromkeys(fakes.NAMES, "ran")
    assert record["config"] == "recipe.yaml"


def test_stages_shows_inputs_outputs_and_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages"]) == 0
    out = capsys.readouterr().out
    assert "trainer            examples → model" in out
    assert "Writes the source and the seed." in out


def test_configs_shows_first_comments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.commands.RECIPES", tmp_path)
    assert main(["configs"]) == 0
    assert capsys.readouterr().out == "recipe  A recipe for tests.\n"


def test_lab_list_shows_every_demonstration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [*catalogue.STANDARD, *catalogue.LONG]
    assert lines[-1] == "Without names, all but adding_50 and adding_150 run."


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["scaler"], "Did you mean 'scalar'? Demonstrations: scalar, eigen,"),
        (["--seed", "-1"], "--seed must be >= 0 and below 2^31. Received: -1."),
        (["--output", "recipe.yaml"], "--output must be a folder. Received: 'recipe.yaml', a file."),
    ],
)
def test_lab_bad_usage_says_what_is_wrong_and_exits_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", *arguments]) == 2
    assert text in capsys.readouterr().err
    assert not Path("runs").exists()


def test_help_exits_0_and_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom pipeline.cli import main\ncode = main(['run', '--help'])\n"
        "heavy = {'pydantic', 'matplotlib', 'tensorflow', 'apache_beam', 'keras'}\n"
        "print([name for name in sys.modules if name in heavy], code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=SOURCE_ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("[] 0\n")


def test_main_interrupt_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    fakes.HOOKS["trainer"] = interrupt
    assert run() == 130
    assert capsys.readouterr().err == "Interrupted.\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database is locked"), "cannot be used (database is locked). If another process"),
        (sqlite3.DatabaseError("file is not a database"), "is damaged (file is not a database). Move it away"),
    ],
)
def test_store_that_is_locked_is_told_from_one_that_is_damaged(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error, debug=False) == 2
    assert said in capsys.readouterr().err
