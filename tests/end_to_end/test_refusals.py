"""What the command line says to bad input: one line, the right exit code, and nothing half-written."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.end_to_end.command_line import command


def _bad_utf8(folder: Path) -> Sequence[str]:
    (folder / "a.txt").write_bytes(b"good text\xff")
    return ["--set", f"example_gen.source=text:{folder}/a.txt"]


def _empty_file(folder: Path) -> Sequence[str]:
    (folder / "empty.txt").touch()
    return ["--set", f"example_gen.source=text:{folder}/*.txt"]


def _wrong_type(folder: Path) -> Sequence[str]:
    (folder / "config.yaml").write_text(
        "pipeline: {name: x}\nexample_gen: {source: 'inline:a'}\nmodel: {units: many}\n", encoding="utf-8"
    )
    return ["--config", str(folder / "config.yaml")]


def _file_as_root(folder: Path) -> Sequence[str]:
    (folder / "file").touch()
    return ["--root", str(folder / "file" / "root")]


BAD_RUNS = {
    "missing config": (lambda folder: ["--config", f"{folder}/none.yaml"], 2, "none.yaml"),
    "unknown key": (lambda folder: ["--set", "model.unitz=3"], 2, "Did you mean 'units'?"),
    "wrong type": (_wrong_type, 2, "model.units"),
    "negative units": (lambda folder: ["--set", "model.units=-1"], 2, "model.units"),
    "missing corpus": (
        lambda folder: ["--set", f"example_gen.source=text:{folder}/none*.txt"],
        1,
        "match at least one",
    ),
    "invalid UTF-8": (_bad_utf8, 1, "byte offset 9"),
    "empty corpus": (_empty_file, 1, "a document must not be empty"),
    "short corpus": (lambda folder: ["--set", f"example_gen.source=inline:{'short ' * 20}"], 1, "one window per lane"),
    "unwritable root": (_file_as_root, 2, "root"),
    "unknown stage": (lambda folder: ["--from", "trainr"], 2, "Did you mean 'trainer'?"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_run_with_bad_input_says_so_in_one_line_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    arguments, code, text = BAD_RUNS[name]
    root = tmp_path / "root"
    done = command("run", "--root", root, *arguments(tmp_path))
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (code, 1), done.stderr
    assert text in errors[0]
    assert "Traceback" not in done.stderr
    assert not list(root.glob(".tmp/*")), "something half-written was left"
    assert not (root / "serving").exists()


@pytest.mark.parametrize("subcommand", ["sample", "score"])
def test_model_folder_without_model_is_bad_usage(subcommand: str, tmp_path: Path) -> None:
    done = command(subcommand, "--model", tmp_path, stdin="text")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(tmp_path) in done.stderr


def test_stage_command_with_unknown_name_is_bad_usage() -> None:
    done = command("stage", "trainr")
    assert done.returncode == 2
    assert "Did you mean 'trainer'?" in done.stderr
