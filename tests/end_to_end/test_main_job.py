"""The main job as a user runs it, on small corpora."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command_line import REPOSITORY, SMALL, command, output, run_json, statuses


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
        "statistics_gen": "cached",
        "schema_gen": "cached",
        "example_validator": "cached",
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
    done = ["example_gen", "statistics_gen", "schema_gen", "example_validator", "transform", "trainer", "evaluator"]
    assert [trained[name] for name in done] == ["cached"] * 5 + ["ran"] * 2
    assert [edited[name] for name in done] == ["ran"] * 7


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
    assert list(statuses(summary).values()) == ["cached"] * 5 + ["ran"] * 5
    assert (Path(summary["pushed_model"]) / "saved_model.pb").is_file()
    assert not list(tmp_path.glob(".tmp/*-trainer-*"))
