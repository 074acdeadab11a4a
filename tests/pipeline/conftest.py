"""Fixtures of the pipeline's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import graph
from tests.pipeline import fakes

RECIPE = "# A recipe for tests.\npipeline: {name: fake}\nexample_gen: {source: 'inline:hello'}\n"


@pytest.fixture(autouse=True)
def _clean_fakes() -> Iterator[None]:
    fakes.RAN.clear()
    fakes.HOOKS.clear()
    fakes.REFUSALS.clear()
    yield
    fakes.HOOKS.clear()
    fakes.REFUSALS.clear()


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recipe of the fake stages for the command line, in a current folder of the test's own."""
    monkeypatch.setattr(graph, "stages", lambda config=None: fakes.STAGES)
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(RECIPE)
    return "recipe.yaml"
