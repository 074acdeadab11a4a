"""The gradient laboratory as a user runs it."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.command_line import command


@pytest.mark.slow
def test_lab_writes_the_pictures_it_is_asked_for_and_says_what_they_show(tmp_path: Path) -> None:
    done = command("lab", "scalar", "eigen", "inputs", "receptive_field", "--output", tmp_path / "lab", "--seed", "1")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for name in ("scalar", "eigen", "inputs", "receptive_field"):
        assert (tmp_path / "lab" / f"{name}.svg").read_text("utf-8").startswith("<?xml")
        record = json.loads((tmp_path / "lab" / f"{name}.json").read_text("utf-8"))
        assert (record["name"], record["seed"]) == (name, 1)
        assert all(sentence in done.stdout for sentence in record["sentences"])
    assert "w = 0.9: dh_50/dh_0 = 0.00515, and w^50 = 0.00515: the gradient vanishes." in done.stdout
    assert done.stdout.endswith(f"All pictures: {tmp_path / 'lab' / 'lab.html'}\n")
    assert "receptive_field.svg" in (tmp_path / "lab" / "lab.html").read_text("utf-8")
