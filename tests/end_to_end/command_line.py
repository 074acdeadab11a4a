"""Runs the command line as a user does, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.processes import fresh_environment

REPOSITORY = Path(__file__).resolve().parents[2]
# Servers take longest, and tests/components/infra_validator asks them.
SMALL = [
    "--set", "infra_validator.servers=false",
    "--set", "transform.window_length=6", "--set", "transform.lanes=1", "--set", "model.units=8",
    "--set", "model.layers=1", "--set", "trainer.epochs=2", "--set", "evaluator.thresholds.bits_per_char.upper=100",
]  # fmt: skip


def command(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs run_pipeline.py."""
    line = [sys.executable, str(REPOSITORY / "run_pipeline.py"), *map(str, arguments)]
    return subprocess.run(
        line, input=stdin, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=fresh_environment()
    )


def run_json(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Runs `run … --json` and returns the summary."""
    done = command("run", "--json", *arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def statuses(summary: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in summary["stages"]}


def output(summary: dict[str, Any], stage: str, key: str) -> Path:
    return Path(next(s for s in summary["stages"] if s["name"] == stage)["outputs"][key])
