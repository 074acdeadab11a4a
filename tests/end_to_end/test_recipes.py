"""Every recipe at toy size: from raw files through the command line to a SavedModel that a stranger's process calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from components.example_gen.datasets.locate import ROOT_VARIABLE
from tests.end_to_end.answers import Answer, Request, alone, differs, same, wrong
from tests.end_to_end.command_line import REPOSITORY, run_json, statuses
from tests.end_to_end.small_sets import SMALL_SETS, Sample, languages, spelt_words
from tests.saved_model_process import SavedModelProcess, started

RECIPES = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.yaml"))
# A search over many trainings has a test of its own, test_tuning.py.
NOT_HERE = {"tuning"}
SIGNATURES = {
    "language_model": "generate",
    "classification": "classify",
    "tagging": "tag",
    "seq2seq": "translate",
    "captioning": "caption",
    "regression_sequence": "predict",
}
# Name → recipe, what makes its data, more settings: what no recipe has as it is.
VARIANTS = {
    "stop_head": ("pronunciation", spelt_words, ["model.stop=stop_head"]),
    "length_head": ("surnames", languages, ["model.stop=length_head"]),
}
UNITS = 8
CONTROLS = {"max_length": 12, "temperature": 0.8, "top_k": 0, "top_p": 1.0}


def toy(recipe: Mapping[str, Any]) -> list[str]:
    """Settings that make a recipe small, and blessed whatever it has learnt; all else stays as it is."""
    settings = [f"model.units={UNITS}", "trainer.epochs=2"]
    if "embedding" in recipe["model"]:
        settings.append("model.embedding=6")
    if recipe["transform"].get("records") == "examples":
        settings.append("trainer.batch_size=8")
    else:
        settings += ["transform.window_length=6", f"transform.lanes={min(recipe['transform']['lanes'], 2)}"]
    for metric, bounds in recipe.get("evaluator", {}).get("thresholds", {}).items():
        settings += [f"evaluator.thresholds.{metric}.{bound}={1e6 if bound == 'upper' else 0}" for bound in bounds]
    settings.append("infra_validator.servers=false")  # they take longest; tests/components/infra_validator asks them
    return settings


def run_toy(root: Path, name: str, sample: Sample, more: Sequence[str] = ()) -> tuple[str, Path]:
    """Runs a recipe and returns its task and the folder of the pushed SavedModel."""
    recipe = yaml.safe_load((REPOSITORY / "configs" / f"{name}.yaml").read_text("utf-8"))
    settings = [*toy(recipe), *sample.settings, *more]
    options = [word for setting in settings for word in ("--set", setting)]
    summary = run_json("--config", name, "--root", root, *options)
    assert set(statuses(summary).values()) == {"ran"}
    return recipe["model"].get("task", "language_model"), Path(summary["pushed_model"])


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SavedModelProcess]:
    """A process that knows nothing of this project."""
    with started(tmp_path_factory.mktemp("stranger")) as process:
        yield process


def ask(stranger: SavedModelProcess, model: Path, calls: Sequence[tuple[str, Request]]) -> list[Answer]:
    """Calls a SavedModel, giving each signature all the inputs that it has; texts come as strings."""
    known = stranger.ask("describe", str(model))
    answers = []
    for name, request in calls:
        assert request.keys() == known[name][0].keys()
        answer = stranger.ask("call", str(model), name, dict(request))
        answers.append({key: _typed(value) for key, value in answer.items()})
    return answers


def _typed(value: np.ndarray) -> tuple[str, np.ndarray]:
    if value.dtype == object:
        return "string", np.vectorize(bytes.decode, otypes=[object])(value)
    return value.dtype.name, value


def request_of(task: str, sample: Sample) -> Request:
    """All inputs, each with a value for every row."""
    rows = {name: np.asarray(values) for name, values in sample.request.items()}
    batch = len(next(iter(rows.values())))
    if task == "language_model":
        rows |= {name: np.full(batch, value) for name, value in CONTROLS.items()}
        rows["seed"] = np.arange(batch)
    elif task in ("seq2seq", "captioning"):
        rows["beam_width"] = np.ones(batch, int)
    return rows


def check_served(stranger: SavedModelProcess, model: Path, task: str, sample: Sample) -> None:
    """Asks a batch by both names, then each row alone, and checks all that is answered."""
    signature, request = SIGNATURES[task], request_of(task, sample)
    batch = len(next(iter(request.values())))
    singles = [alone(request, row) for row in range(batch)]
    calls = [(name, request) for name in ("serving_default", signature)] + [(signature, single) for single in singles]
    if "beam_width" in request:
        calls.append((signature, {**request, "beam_width": np.array([1, *[3] * (batch - 1)])}))
    if task == "language_model":
        calls.append(("score", {"text": request["prompt"]}))
    answers = ask(stranger, model, calls)

    assert not stranger.ask("modules") & {"components", "custom_layers", "pipeline", "tests"}
    default, own = answers[:2]
    assert default.keys() == own.keys()
    assert all(same(default[name][1], own[name][1]) for name in own)
    assert wrong(signature, request, own, sample.known) == []
    for row, (single, found) in enumerate(zip(singles, answers[2:], strict=False)):
        assert wrong(signature, single, found, sample.known) == []
        assert differs(own, row, found) == []
    if "beam_width" in request:
        assert wrong(signature, request, answers[-1], sample.known) == []
        assert differs(answers[-1], 0, answers[2]) == []  # greedy beside rows that are not
    if task == "language_model":
        assert wrong("score", calls[-1][1], answers[-1], sample.known) == []


def test_every_recipe_has_a_small_set() -> None:
    assert set(RECIPES) - NOT_HERE == set(SMALL_SETS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(RECIPES) - NOT_HERE))
def test_recipe_runs_from_raw_data_to_a_model_that_is_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: SavedModelProcess
) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    sample = SMALL_SETS[name](tmp_path)
    task, model = run_toy(tmp_path / "root", name, sample)
    check_served(stranger, model, task, sample)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_rule_that_ends_texts_runs_from_raw_data_to_a_model_that_is_called(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: SavedModelProcess
) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    recipe, put, more = VARIANTS[name]
    sample = put(tmp_path)
    task, model = run_toy(tmp_path / "root", recipe, sample, more)
    check_served(stranger, model, task, sample)
