"""A byte that changed in an artifact is noticed before it is used, named, and what made the artifact makes it anew."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline import graph
from tests.end_to_end.command_line import command, run_json, statuses
from tests.end_to_end.test_crash_matrix import HELLO

pytestmark = pytest.mark.slow

STAGES = {key: stage for stage in graph.stages() for key in stage.outputs}
KEYS = [key for key in STAGES if key not in ("best_hyperparameters",)]
AFTER = {key: next((s for s in graph.stages() if key in s.inputs), None) for key in KEYS}


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("hello")
    return root, run_json("--root", root, *HELLO)


def folder_of(summary: dict[str, Any], key: str) -> Path:
    return next(Path(stage["outputs"][key]) for stage in summary["stages"] if key in stage["outputs"])


def largest_file(folder: Path) -> Path:
    return max(
        (file for file in folder.rglob("*") if file.is_file()), key=lambda file: (file.stat().st_size, file.name)
    )


@contextmanager
def flipped(file: Path) -> Iterator[None]:
    """One bit of the byte in the middle is another; put back afterwards. An empty file gets a byte."""
    content = file.read_bytes()
    middle = len(content) // 2
    damaged = content[:middle] + bytes([(content[middle] if content else 0) ^ 1]) + content[middle + 1 :]
    file.write_bytes(damaged)
    try:
        yield
    finally:
        file.write_bytes(content)


def explained(root: Path) -> dict[str, dict[str, Any]]:
    done = command("run", "--explain", "--json", "--root", root, *HELLO)
    assert done.returncode == 0, done.stderr
    return {stage["name"]: stage for stage in json.loads(done.stdout)["stages"]}


@pytest.mark.parametrize("key", KEYS)
def test_changed_byte_explain_names_the_artifact_and_its_stage(hello: tuple[Path, dict[str, Any]], key: str) -> None:
    root, summary = hello
    folder, name = folder_of(summary, key), STAGES[key].stage_name()
    with flipped(largest_file(folder)):
        found = explained(root)
    assert found[name]["runs"]
    assert found[name]["reason"] == f"{key} ({folder.relative_to(root.resolve())}) has changed since it was written"
    before = list(found)[: list(found).index(name)]
    assert not any(found[stage]["runs"] for stage in before)


@pytest.mark.parametrize("key", [key for key in KEYS if AFTER[key]])
def test_changed_byte_later_stage_alone_refuses_it_by_name(hello: tuple[Path, dict[str, Any]], key: str) -> None:
    root, summary = hello
    folder, reader = folder_of(summary, key), AFTER[key]
    assert reader is not None
    with flipped(largest_file(folder)):
        done = command("stage", reader.stage_name(), "--root", root, *HELLO)
    assert done.returncode == 2
    assert f"needs {key!r}, whose folder is gone or changed. Received: '{folder}'" in done.stderr
    assert f"Run {STAGES[key].stage_name()} again." in done.stderr


def test_changed_byte_run_from_a_later_stage_refuses_it_by_name(hello: tuple[Path, dict[str, Any]]) -> None:
    root, summary = hello
    folder = folder_of(summary, "model")
    with flipped(largest_file(folder)):
        done = command("run", "--from", "evaluator", "--root", root, *HELLO)
    assert done.returncode == 2
    assert f"--from evaluator needs 'model', whose folder is gone or changed. Received: '{folder}'" in done.stderr


def test_changed_byte_in_every_artifact_each_stage_makes_it_again(
    hello: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root, summary = hello
    shutil.copytree(root, tmp_path / "root")
    for key in KEYS:
        file = largest_file(tmp_path / "root" / folder_of(summary, key).relative_to(root.resolve()))
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([(content[-1] if content else 0) ^ 1]))
    again = run_json("--root", tmp_path / "root", *HELLO)
    assert again["status"] == "succeeded"
    assert set(statuses(again).values()) == {"ran"}
    assert again["metrics"] == summary["metrics"]
    assert set(statuses(run_json("--root", tmp_path / "root", *HELLO)).values()) == {"cached"}
