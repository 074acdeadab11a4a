"""A search from the command line: what comes out, that it is used, and that it may be stopped anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.command_line import REPOSITORY, command, output, run_json, statuses

pytestmark = pytest.mark.slow

RECIPE = {
    "pipeline": {"name": "tiny"},
    "example_gen": {"source": "inline:hello yellow fellow, hello mellow yellow", "splits": "same"},
    "transform": {"window_length": 6, "lanes": 2},
    "model": {"units": 5, "layers": 1},
    "trainer": {"epochs": 160, "evaluate_every": 40, "save_every_steps": 50},
    "evaluator": {"thresholds": {"bits_per_char": {"upper": 100}}},
    "tuner": {
        "parameters": {
            "model.units": {"low": 2, "high": 12},
            "trainer.optimizer.learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
            "transform.window_length": {"choices": [6, 8]},
            "trainer.batch_size": {"choices": [2, 3]},  # 3 does not divide the lanes
        },
        "trials": 4,
        "pruner": "successive_halving",
        "seed": 3,
    },
}


def write(folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def read_trials(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]


def without_seconds(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in trials]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """Recipe, root and summary of a run with a search."""
    folder = tmp_path_factory.mktemp("tuned")
    recipe = write(folder)
    return recipe, folder / "root", run_json("--config", recipe, "--root", folder / "root")


def test_run_with_a_tuner_tries_finds_the_best_and_trains_it(tuned: Any) -> None:
    _, root, summary = tuned
    assert statuses(summary)["tuner"] == "ran"
    folder = output(summary, "tuner", "best_hyperparameters")
    trials = read_trials(folder)
    states = [trial["state"] for trial in trials]
    assert len(trials) == 4
    assert set(states) == {"completed", "pruned", "failed"}
    for trial in trials:
        if trial["state"] == "pruned":
            assert 1 <= len(trial["evaluations"]) < 4
        assert (trial["state"] == "failed") == (trial["values"]["trainer.batch_size"] == 3)
        assert trial["state"] != "failed" or "must divide transform.lanes=2" in trial["message"]

    best = min((trial for trial in trials if trial["state"] == "completed"), key=lambda trial: trial["bits_per_char"])
    model = output(summary, "trainer", "model")
    assert json.loads((model / "model.json").read_text())["units"] == best["values"]["model.units"]
    # The same training once more, so the same result.
    assert json.loads((model / "training.json").read_text())["best"] == best["bits_per_char"]
    manifest = json.loads((output(summary, "transform", "transformed_examples") / "manifest.json").read_text())
    assert manifest["window_length"] == best["values"]["transform.window_length"]
    assert f"Best: trial {best['number']}" in (folder / "report.txt").read_text()
    assert summary["pushed_model"] is not None
    assert not (root / "checkpoints").exists()


def test_run_again_searches_no_more_and_other_sections_do_not_count(tuned: Any) -> None:
    recipe, root, _ = tuned
    again = run_json("--config", recipe, "--root", root, "--set", "evaluator.thresholds.bits_per_char.upper=99")
    assert {name for name, status in statuses(again).items() if status == "ran"} == {"evaluator"}


def test_best_config_is_a_recipe_of_the_model_that_was_trained(tuned: Any) -> None:
    _, root, summary = tuned
    best = output(summary, "tuner", "best_hyperparameters") / "best_config.yaml"
    again = run_json("--config", best, "--root", root)
    assert "tuner" not in statuses(again)
    assert set(statuses(again).values()) == {"cached"}
    anew = run_json("--config", best, "--root", root.parent / "anew", "--to", "trainer")
    found, expected = (
        json.loads((output(one, "trainer", "model") / "training.json").read_text())["best"] for one in (anew, summary)
    )
    assert found == expected


def test_stage_after_the_tuner_gets_the_best_configuration(tuned: Any) -> None:
    recipe, root, _ = tuned
    alone = command("stage", "trainer", "--json", "--config", recipe, "--root", root)
    assert alone.returncode == 0, alone.stderr
    assert statuses(json.loads(alone.stdout.splitlines()[-1])) == {"trainer": "cached"}
    later = run_json("--config", recipe, "--root", root, "--from", "trainer")
    assert statuses(later)["trainer"] == "cached"


# ---- Stopped --------------------------------------------------------------------------------------------------------


def stop_in_trial(number: int, how: signal.Signals, recipe: Path, root: Path) -> tuple[int, str]:
    """Starts a search, and sends a signal to its process when a trial has been evaluated once; exit code and errors."""
    line = [sys.executable, str(REPOSITORY / "run_pipeline.py"), "run", "--to", "tuner"]
    process = subprocess.Popen(
        [*line, "--config", str(recipe), "--root", str(root)],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    history = root / "checkpoints" / "tuner" / f"trial-{number}" / "checkpoints" / "trainer" / "history.jsonl"
    deadline = time.monotonic() + 300
    while not (history.exists() and '"eval"' in history.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, how)
    _, errors = process.communicate()
    return process.returncode, errors


def test_search_terminated_and_killed_goes_on_to_the_same_trials(tuned: Any, tmp_path: Path) -> None:
    recipe, _, summary = tuned
    expected = without_seconds(read_trials(output(summary, "tuner", "best_hyperparameters")))
    first, second = [trial["number"] for trial in expected if trial["state"] == "completed"][:2]
    root = tmp_path / "root"

    code, errors = stop_in_trial(first, signal.SIGTERM, recipe, root)
    assert (code, f"Stopped in trial {first}. The same command goes on from there." in errors) == (143, True)
    code, _ = stop_in_trial(second, signal.SIGKILL, recipe, root)
    assert code == -signal.SIGKILL
    assert without_seconds(read_trials(root / "checkpoints" / "tuner")) == expected[: second - 1]

    other = command("run", "--to", "tuner", "--config", recipe, "--root", root, "--set", "model.layers=2")
    assert other.returncode == 1
    assert "Tuner: a search that goes on must keep its settings. Received: model.layers: 1 → 2" in other.stderr
    done = run_json("--config", recipe, "--root", root, "--to", "tuner")
    assert without_seconds(read_trials(output(done, "tuner", "best_hyperparameters"))) == expected
    assert not (root / "checkpoints").exists()


# ---- Refused --------------------------------------------------------------------------------------------------------


def test_stage_tuner_without_its_section_is_refused(tmp_path: Path) -> None:
    done = command("stage", "tuner", "--config", "hello", "--root", tmp_path)
    assert done.returncode == 2
    assert "the configuration must have a section `tuner`" in done.stderr


def test_stages_lists_the_tuner() -> None:
    assert "tuner              examples → best_hyperparameters" in command("stages").stdout


def test_search_without_a_trial_that_ends_fails_with_the_reasons(tmp_path: Path) -> None:
    settings = "tuner={parameters: {trainer.batch_size: {choices: [3, 5]}}, trials: 3}"
    done = command("run", "--config", write(tmp_path), "--root", tmp_path / "root", "--set", settings, "--to", "tuner")
    assert done.returncode == 1
    assert "Tuner: one trial must come to its end. Received: 3 trials, none completed." in done.stderr
    assert "must divide transform.lanes=2; received 3" in done.stderr


def test_stage_after_a_tuner_that_has_not_run_is_refused(tmp_path: Path) -> None:
    recipe, root = write(tmp_path), tmp_path / "root"
    assert command("run", "--config", recipe, "--root", root, "--to", "example_gen").returncode == 0
    done = command("stage", "transform", "--config", recipe, "--root", root)
    assert done.returncode == 2
    assert "needs 'best_hyperparameters', which tuner makes and has not made here" in done.stderr
