"""The main job as a user runs it, on small corpora."""

import json
import math
import shutil
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


def test_hello_pushed_model_has_its_card_and_warm_up_requests(hello: tuple[Path, dict[str, Any]]) -> None:
    root, summary = hello
    pushed = Path(summary["pushed_model"])
    card = (pushed / "MODEL_CARD.md").read_text("utf-8")
    (trained,) = root.glob("trainer/*/execution.json")
    assert json.loads(trained.read_text("utf-8"))["fingerprint"] in card
    assert "Source: `inline:hello`" in card
    assert f"| perplexity | {summary['metrics']['eval']['perplexity']:.4g} |" in card
    assert "not recorded" not in card
    assert (pushed / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 0


@pytest.mark.parametrize("prompt", ["hel", *(pytest.param(text, marks=pytest.mark.slow) for text in ("h", ""))])
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


@pytest.mark.slow
def test_sample_streamed_equals_sample_at_once(hello: tuple[Path, dict[str, Any]]) -> None:
    arguments = ["sample", "--model", hello[0] / "serving" / "hello", "--seed", "3", "--temperature", "9"]
    assert command(*arguments, "--stream").stdout == command(*arguments).stdout


def test_sample_statistics_find_the_training_text_by_lineage(hello: tuple[Path, dict[str, Any]]) -> None:
    done = command("sample", "--model", hello[0] / "serving" / "hello", "--greedy", "--stats")
    assert done.stdout == "hello\n"
    assert "copied      5 of 5 characters: 'hello' (inline, line 1)" in done.stderr


def test_score_verbose_tells_the_probability_of_each_character(hello: tuple[Path, dict[str, Any]]) -> None:
    done = command("score", "--model", hello[0] / "serving" / "hello", "--verbose", stdin="help")
    rows = [line.split() for line in done.stdout.splitlines()[1:6]]
    assert [(row[1], row[4]) for row in rows[:3]] == [("'h'", "1"), ("'e'", "1"), ("'l'", "1")]
    assert all(float(row[2]) > 0.9 for row in rows[:3])
    assert rows[3][4] != "1"  # p is not a letter that it knows
    assert rows[3][5] == "'l'"


def test_second_run_with_nothing_changed_runs_no_stage(hello: tuple[Path, dict[str, Any]]) -> None:
    summary = run_json("--config", "hello", "--root", hello[0])
    assert set(statuses(summary).values()) == {"cached"}
    assert summary["metrics"] == hello[1]["metrics"]
    assert summary["pushed_model"] == hello[1]["pushed_model"]


def test_changed_threshold_reruns_evaluation_only_and_refuses(
    hello: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    root = shutil.copytree(hello[0], tmp_path / "root")  # a root can be copied
    strict = ["--set", "evaluator.thresholds.bits_per_char.upper=0.000001"]
    summary = run_json("--config", "hello", "--root", root, *strict, code=3)
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
    assert [path.name for path in (root / "serving" / "hello").iterdir()] == ["1"]


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_score_reads_standard_input(three_documents: tuple[list[str], dict[str, Any]]) -> None:
    texts, summary = three_documents
    done = command("score", "--model", summary["pushed_model"], "-", "--json", stdin=texts[1])
    assert json.loads(done.stdout)["tokens"] == len(texts[1]) + 1


class Running:
    """A run in a process of its own, and its checkpoints."""

    def __init__(self, root: Path, *arguments: str | Path) -> None:
        self.root = root
        line = [sys.executable, "run_pipeline.py", "run", "--root", str(root), *map(str, arguments)]
        self.process = subprocess.Popen(
            line, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def end_with(self, number: signal.Signals, after_step: int) -> tuple[int, str]:
        """Sends a signal once a step is saved; returns the exit code and what was told."""
        try:
            for _ in range(1200):
                if self.process.poll() is not None or newest_step(self.root) > after_step:
                    break
                time.sleep(0.1)
        finally:
            self.process.send_signal(number)
        _, told = self.process.communicate()
        return self.process.returncode, told


def newest_step(root: Path) -> int:
    files = sorted((root / "checkpoints" / "trainer").glob("step-*.ckpt"))
    return int(files[-1].stem.partition("-")[2]) if files else -1


@pytest.mark.slow
def test_run_killed_and_terminated_in_the_trainer_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ["--set", "example_gen.source=inline:kill me if you can", *SMALL]
    arguments += ["--set", "example_gen.splits=same", "--set", "trainer.epochs=3000"]
    arguments += ["--set", "trainer.evaluate_every=1500", "--set", "trainer.save_every_steps=50"]

    code, _ = Running(tmp_path, *arguments).end_with(signal.SIGKILL, after_step=100)
    assert code == -signal.SIGKILL
    killed = newest_step(tmp_path)
    code, told = Running(tmp_path, *arguments).end_with(signal.SIGTERM, after_step=killed + 100)
    assert code == 143
    assert f"Going on from step {killed}." in told
    stopped = newest_step(tmp_path)
    assert f"Stopped by SIGTERM after step {stopped}." in told

    refused = command("run", "--root", tmp_path, *arguments, "--set", "trainer.optimizer.learning_rate=1e-4")
    assert refused.returncode == 1
    assert "trainer.optimizer.learning_rate: 0.002 → 0.0001" in refused.stderr
    assert "--force trainer" in refused.stderr

    summary = run_json("--root", tmp_path, *arguments)
    assert list(statuses(summary).values()) == ["cached"] * 5 + ["ran"] * 5
    trainer = next(stage for stage in summary["stages"] if stage["name"] == "trainer")
    assert trainer["resumed_from_step"] == stopped > killed > 100
    assert (Path(summary["pushed_model"]) / "saved_model.pb").is_file()
    history = (output(summary, "trainer", "model") / "history.jsonl").read_text("utf-8").splitlines()
    steps = [entry["step"] for entry in map(json.loads, history) if "nats" in entry]
    assert steps == sorted(set(steps))
    # Nothing is left behind.
    assert not (tmp_path / "checkpoints").exists()
    assert not list((tmp_path / ".tmp").iterdir())


@pytest.mark.slow
def test_run_forced_trainer_begins_anew(tmp_path: Path) -> None:
    arguments = ["--set", "example_gen.source=inline:begin anew", "--set", "example_gen.splits=same", *SMALL]
    endless = [*arguments, "--set", "trainer.epochs=1000000", "--set", "trainer.save_every_steps=1"]
    Running(tmp_path, *endless).end_with(signal.SIGKILL, after_step=3)

    anew = ["--set", "model.units=7", "--force", "trainer", "--to", "trainer"]
    summary = run_json("--root", tmp_path, *arguments, *anew)

    trainer = next(stage for stage in summary["stages"] if stage["name"] == "trainer")
    assert (trainer["status"], trainer["resumed_from_step"]) == ("ran", None)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_run_of_whole_documents_trains_and_evaluates(tmp_path: Path) -> None:
    corpus = tmp_path / "lines.txt"
    corpus.write_text("one\ntwo\nthree\nfour\n" * 12, encoding="utf-8")
    arguments = ["--set", f"example_gen.source=text:{corpus}", "--set", "example_gen.document=line", *SMALL]

    summary = run_json(
        "--root", tmp_path / "root", *arguments, "--set", "transform.records=examples", "--to", "evaluator"
    )

    assert summary["status"] == "succeeded"
    tokens = summary["metrics"]["eval"]["tokens"] + summary["metrics"]["test"]["tokens"]
    assert 0 < tokens < 48 * 6
