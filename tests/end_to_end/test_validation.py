"""Statistics, schema and validation as a user meets them: a clean corpus passes, a drifted one ends the run."""

from pathlib import Path

import pytest

from tests.end_to_end.command_line import command, output, run_json, statuses

CHAIN = ["example_gen", "statistics_gen", "schema_gen", "example_validator"]


def write(folder: Path, extra: str = "") -> list[str]:
    folder.mkdir(exist_ok=True)
    for i in range(30):
        text = f"Call me Ishmael. Some years ago, never mind how long precisely, chapter {i}. " * 20 + extra
        (folder / f"{i:02}.txt").write_text(text, encoding="utf-8")
    return ["--root", str(folder.parent / "root"), "--set", f"example_gen.source=text:{folder}/*.txt"]


def test_clean_corpus_passes_and_the_second_run_is_cached(tmp_path: Path) -> None:
    arguments = [*write(tmp_path / "corpus"), "--to", "example_validator"]
    first = run_json(*arguments)
    assert [statuses(first)[name] for name in CHAIN] == ["ran"] * 4
    assert (output(first, "statistics_gen", "statistics") / "statistics.html").is_file()
    assert (output(first, "schema_gen", "schema") / "schema.pbtxt").is_file()
    assert (output(first, "example_validator", "anomalies") / "anomalies.txt").read_text() == ""
    assert [statuses(run_json(*arguments))[name] for name in CHAIN] == ["cached"] * 4


def test_drifted_corpus_stops_the_run_twice_and_nothing_after_it_runs(tmp_path: Path) -> None:
    arguments = write(tmp_path / "corpus")
    run_json(*arguments, "--to", "example_validator")
    write(tmp_path / "corpus", extra="Зовите меня Измаил. " * 3)
    for before in ("ran", "cached"):
        done = command("run", *arguments)
        assert done.returncode == 1
        assert f"schema_gen        {before}" in done.stdout
        errors = done.stderr[done.stderr.index("error: ") :].splitlines()
        folder = tmp_path / "root" / "example_validator" / "8" / "anomalies"
        assert errors[0] == f"error: example_validator stopped the run, see {folder.resolve()}:"
        assert all(line.startswith("  ") for line in errors[1:])
        assert [line.split(":")[0].strip() for line in errors[1:4]] == ["eval", "test", "train"]
        assert all("Scripts: Cyrillic" in line for line in errors[1:4])
        assert "--set example_validator.CHECK.severity=warn" in errors[4]
        assert (folder / "Split-eval" / "SchemaDiff.pb").is_file()
        assert not (tmp_path / "root" / "transform").exists()
    allowed = run_json(*arguments, "--to", "example_validator", "--set", "example_validator.script_drift.severity=warn")
    assert statuses(allowed)["example_validator"] == "ran"


@pytest.mark.parametrize("recipe", ["hello", "quickstart"])
def test_packaged_recipe_passes_without_a_warning(recipe: str, tmp_path: Path) -> None:
    done = command("run", "--config", recipe, "--root", tmp_path, "--to", "example_validator")
    assert done.returncode == 0
    (page,) = tmp_path.glob("statistics_gen/*/statistics/statistics.html")
    assert f"Statistics of the corpus: {page.resolve()}\n" in done.stdout
    assert "warn" not in done.stdout + done.stderr
    (sentences,) = tmp_path.glob("example_validator/*/anomalies/anomalies.txt")
    assert sentences.read_text() == ""
