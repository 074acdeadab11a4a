"""The main job as a user runs it: the command line, in processes of its own, on small corpora."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = [
    "--set", "transform.window_length=6", "--set", "transform.lanes=1", "--set", "model.units=8",
    "--set", "model.layers=1", "--set", "trainer.epochs=2", "--set", "evaluator.thresholds.bits_per_char.upper=100",
]  # fmt: skip


def command(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs run_pipeline.py."""
    line = [sys.executable, str(REPOSITORY / "run_pipeline.py"), *map(str, arguments)]
    return subprocess.run(line, input=stdin, capture_output=True, text=True, check=False, cwd=REPOSITORY)


def run_json(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Runs `run … --json` and returns the summary."""
    done = command("run", "--json", *arguments)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def statuses(summary: dict[str, Any]) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in summary["stages"]}


def output(summary: dict[str, Any], stage: str, key: str) -> Path:
    return Path(next(s for s in summary["stages"] if s["name"] == stage)["outputs"][key])


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("hello")
    return root, run_json("--config", "hello", "--root", root)


@pytest.fixture(scope="module")
def three_documents(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, Any]]:
    folder = tmp_path_factory.mktemp("corpus")
    texts = ["To be, or not to be\n", "nöt ☂ 🎭\n", "that is the question: whether\n"]
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8", newline="")
    source = ["--set", f"example_gen.source=text:{folder}/*.txt", "--set", "example_gen.splits=same"]
    return texts, run_json("--root", folder / "root", *source, *SMALL)


def test_hello_run_pushes_version_1(hello: tuple[Path, dict[str, Any]]) -> None:
    root, summary = hello
    assert summary["status"] == "succeeded"
    assert summary["pushed_model"] == str((root / "serving" / "hello" / "1").resolve())
    assert set(statuses(summary).values()) == {"ran"}


@pytest.mark.parametrize("prompt", ["h", "hel", ""])
def test_hello_sampled_greedily_writes_hello_and_stops(hello: tuple[Path, dict[str, Any]], prompt: str) -> None:
    done = command("sample", "--model", hello[0] / "serving" / "hello", "--prompt", prompt, "--greedy")
    assert (done.stdout, done.returncode) == ("hello\n", 0)


def test_hello_run_prints_the_probability_of_each_next_character(hello: tuple[Path, dict[str, Any]]) -> None:
    done = command("run", "--config", "hello", "--root", hello[0])
    rows = [line.split() for line in done.stdout.splitlines()]
    start = next(i for i, row in enumerate(rows) if row == ["<end>", "e", "h", "l", "o"])
    assert [row[0] for row in rows[start + 1 : start + 7]] == ["<end>", "h", "e", "l", "l", "o"]
    starred = [next(i for i, cell in enumerate(row[1:]) if cell.endswith("*")) for row in rows[start + 1 : start + 7]]
    assert [rows[start][i] for i in starred] == ["h", "e", "l", "l", "o", "<end>"]


def test_sample_streamed_equals_sample_at_once(hello: tuple[Path, dict[str, Any]]) -> None:
    arguments = ["sample", "--model", hello[0] / "serving" / "hello", "--seed", "3", "--temperature", "9"]
    assert command(*arguments, "--stream").stdout == command(*arguments).stdout


def test_second_run_with_nothing_changed_runs_no_stage(hello: tuple[Path, dict[str, Any]]) -> None:
    summary = run_json("--config", "hello", "--root", hello[0])
    assert set(statuses(summary).values()) == {"cached"}
    assert summary["metrics"] == hello[1]["metrics"]
    assert summary["pushed_model"] == hello[1]["pushed_model"]


def test_changed_threshold_reruns_evaluation_only_and_refuses(tmp_path: Path) -> None:
    source = ["--set", "example_gen.source=inline:abcabcabc", "--set", "example_gen.splits=same"]
    run_json("--root", tmp_path, *source, *SMALL)
    strict = ["--set", "evaluator.thresholds.bits_per_char.upper=0.000001"]
    summary = run_json("--root", tmp_path, *source, *SMALL, *strict, code=3)
    assert statuses(summary) == {
        "example_gen": "cached",
        "transform": "cached",
        "trainer": "cached",
        "evaluator": "ran",
        "exporter": "cached",
        "infra_validator": "cached",
        "pusher": "skipped",
    }
    assert summary["pushed_model"] is None
    assert "bits_per_char" in summary["reasons"][0]
    assert [path.name for path in (tmp_path / "serving" / "quickstart").iterdir()] == ["1"]


def test_changed_trainer_setting_or_corpus_byte_reruns_what_depends_on_it(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("one fish two fish", encoding="utf-8")
    arguments = ["--root", tmp_path / "root", "--set", f"example_gen.source=text:{tmp_path}/*.txt", *SMALL]
    arguments += ["--set", "example_gen.splits=same", "--to", "evaluator"]
    run_json(*arguments)
    trained = statuses(run_json(*arguments, "--set", "trainer.optimizer.learning_rate=1e-3"))
    (tmp_path / "corpus.txt").write_text("one fish two fist", encoding="utf-8")
    edited = statuses(run_json(*arguments))
    done = ["example_gen", "transform", "trainer", "evaluator"]
    assert [trained[name] for name in done] == ["cached", "cached", "ran", "ran"]
    assert [edited[name] for name in done] == ["ran", "ran", "ran", "ran"]


def test_score_of_each_document_equals_what_the_evaluator_counted(
    three_documents: tuple[list[str], dict[str, Any]], tmp_path: Path
) -> None:
    texts, summary = three_documents
    counted = json.loads((output(summary, "evaluator", "evaluation") / "documents.json").read_text("utf-8"))["eval"]
    assert summary["metrics"]["eval"]["tokens"] == sum(len(text) + 1 for text in texts)
    for text, document in zip(texts, counted, strict=True):
        (tmp_path / "text.txt").write_text(text, encoding="utf-8", newline="")
        done = command("score", "--model", summary["pushed_model"], tmp_path / "text.txt", "--json")
        score = json.loads(done.stdout.splitlines()[-1])
        assert score["tokens"] == document["tokens"] == len(text) + 1
        assert score["nats"] == pytest.approx(document["nats"] / document["tokens"], abs=1e-4)
        assert score["bits_per_char"] == pytest.approx(score["nats"] / math.log(2))


def test_score_reads_standard_input(three_documents: tuple[list[str], dict[str, Any]]) -> None:
    texts, summary = three_documents
    done = command("score", "--model", summary["pushed_model"], "-", "--json", stdin=texts[1])
    assert json.loads(done.stdout)["tokens"] == len(texts[1]) + 1


def test_run_killed_in_the_trainer_is_completed_by_the_next(tmp_path: Path) -> None:
    arguments = ["--root", tmp_path, "--set", "example_gen.source=inline:kill me if you can", *SMALL]
    arguments += ["--set", "example_gen.splits=same"]
    endless = [sys.executable, "run_pipeline.py", "run", *map(str, arguments), "--set", "trainer.epochs=1000000"]
    process = subprocess.Popen(endless, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if list(tmp_path.glob(".tmp/*-trainer-*/model/history.jsonl")):
                break
            time.sleep(0.1)
        else:
            pytest.fail("the trainer did not start within a minute")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert list(tmp_path.glob(".tmp/*-trainer-*"))
    summary = run_json(*arguments)
    assert list(statuses(summary).values()) == ["cached", "cached"] + ["ran"] * 5
    assert (Path(summary["pushed_model"]) / "saved_model.pb").is_file()
    assert not list(tmp_path.glob(".tmp/*-trainer-*"))


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
    "empty corpus": (_empty_file, 1, "empty.txt of 0 bytes"),
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
