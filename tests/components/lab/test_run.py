"""What a run writes: pictures, figures, and the page of both."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from components.lab import catalogue
from components.lab.run import run
from pipeline.errors import UsageError

REPOSITORY = Path(__file__).resolve().parents[3]


def test_run_writes_picture_figures_and_page(tmp_path):
    lines = []
    run(["scalar", "eigen"], tmp_path / "lab", 3, lines.append)

    assert {path.name for path in (tmp_path / "lab").iterdir()} == {
        *("scalar.svg", "scalar.json", "eigen.svg", "eigen.json", "lab.html")
    }
    record = json.loads((tmp_path / "lab" / "eigen.json").read_text("utf-8"))
    assert record["seed"] == 3
    assert np.asarray(record["figures"]["measured"]).shape == (31, 5)
    page = (tmp_path / "lab" / "lab.html").read_text("utf-8")
    assert re.findall(r'<img src="(.*?)"', page) == ["scalar.svg", "eigen.svg"]
    assert "W^t h_0" in page
    assert all(sentence in "\n".join(lines) for sentence in record["sentences"])


def test_run_again_writes_the_same_bytes_and_keeps_earlier_demonstrations_on_the_page(tmp_path):
    run(["eigen"], tmp_path, 0, lambda line: None)
    first = (tmp_path / "eigen.svg").read_bytes()
    run(["scalar"], tmp_path, 0, lambda line: None)
    assert (tmp_path / "lab.html").read_text("utf-8").count("<img") == 2
    run(["eigen"], tmp_path, 0, lambda line: None)
    assert (tmp_path / "eigen.svg").read_bytes() == first
    run(["eigen"], tmp_path, 1, lambda line: None)
    assert (tmp_path / "eigen.svg").read_bytes() != first  # guard: the seed is used


@pytest.mark.parametrize("name", [*catalogue.STANDARD, *catalogue.LONG])
def test_demonstration_is_loaded_by_its_name_and_has_its_picture_in_the_documentation(name):
    demonstration = catalogue.load(name)
    assert demonstration.title
    assert demonstration.equation
    assert demonstration.advice
    page = "results.md" if name in catalogue.LONG else "lab.md"
    assert f"(lab/{name}.svg)" in (REPOSITORY / "docs" / page).read_text("utf-8")
    assert (REPOSITORY / "docs" / "lab" / f"{name}.svg").stat().st_size < 100_000


def test_check_of_an_unknown_name_says_which_was_meant():
    with pytest.raises(UsageError, match=r"Received: 'scaler'\. Did you mean 'scalar'\?"):
        catalogue.check(["eigen", "scaler"])
