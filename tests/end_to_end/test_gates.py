"""A worse model is refused and the served version stays; a roll-back restores the former, and the server follows."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command_line import command, output, run_json, statuses
from tests.end_to_end.test_server import started

pytestmark = pytest.mark.slow
GATES = [
    "--config", "hello", "--set", "evaluator.thresholds={bits_per_char: {upper: 9, change: {absolute: 0.05}}}",
    "--set", "trainer.diagnostics=false", "--set", "infra_validator.servers=false",
]  # fmt: skip
GOOD = ["--set", "trainer.epochs=200"]
WORSE = ["--set", "trainer.epochs=5"]
OTHER = ["--set", "trainer.epochs=200", "--set", "trainer.seed=7"]


def run(root: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    return run_json("--root", root, *GATES, *arguments, code=code)


def test_a_worse_model_is_refused_and_the_served_version_stays_and_a_roll_back_is_followed(tmp_path: Path) -> None:
    root, serving = tmp_path / "root", tmp_path / "root" / "serving" / "hello"
    first = run(root, *GOOD)
    assert first["pushed_model"] == str((serving / "1").resolve())
    comparison = output(first, "evaluator", "blessing") / "comparison.txt"
    assert "No other model of this root has been blessed" in comparison.read_text("utf-8")
    # The model is the last blessed one now; it is not held against itself, and nothing runs again.
    assert set(statuses(run(root, *GOOD)).values()) == {"cached"}

    with started(serving, tmp_path / "log") as server:
        server.ready()
        status, served = server.generate(prompt="h", min_length=0, temperature=0)
        assert (status, served["version"]) == (200, "1")

        worse = run(root, *WORSE, code=3)
        (reason,) = worse["reasons"]
        assert reason.startswith("eval bits_per_char is ")
        assert " worse than the " in reason
        assert "of the last blessed model, trainer " in reason
        assert reason.endswith("and the threshold allows 0.05 at most.")
        assert worse["pushed_model"] is None
        assert [path.name for path in serving.iterdir()] == ["1"]
        assert server.states() == {"1": "AVAILABLE"}

        other = run(root, *OTHER)
        assert other["pushed_model"] == str((serving / "2").resolve())
        compared = json.loads((output(other, "evaluator", "blessing") / "comparison.json").read_text("utf-8"))
        assert compared["metrics"]["bits_per_char"]["baseline"] == first["metrics"]["eval"]["bits_per_char"]
        server.wait_for({"2": "AVAILABLE"})

        done = command("rollback", "--model", serving)
        assert done.returncode == 0, done.stderr
        assert f"Pushed: {(serving / '3').resolve()}" in done.stdout
        server.wait_for({"3": "AVAILABLE"})
        status, restored = server.generate(prompt="h", min_length=0, temperature=0)
        assert (status, restored["version"]) == (200, "3")
        assert restored | {"version": ""} == served | {"version": ""}

    withdrawn = run(root, *OTHER, code=3)
    assert "was version 2 and was rolled back from: version 3" in withdrawn["reasons"][0]
    assert sorted(path.name for path in serving.iterdir()) == ["1", "2", "3"]
    assert set(statuses(run(root, *GOOD)).values()) <= {"cached", "ran"}
    assert sorted(path.name for path in serving.iterdir()) == ["1", "2", "3"]  # it is served


def test_a_warm_start_begins_with_the_last_blessed_model(tmp_path: Path) -> None:
    root = tmp_path / "root"
    run(root, *GOOD)
    warm = run(root, "--set", "trainer.epochs=1", "--set", "trainer.warm_start=true")
    training = json.loads((output(warm, "trainer", "model") / "training.json").read_text("utf-8"))
    assert training["warm_start"].startswith("trainer ")
    assert warm["metrics"]["eval"]["nats"] < 0.05  # one epoch of a new model is far from that
    assert statuses(run(root, "--set", "trainer.epochs=1", "--set", "trainer.warm_start=true"))["trainer"] == "cached"
