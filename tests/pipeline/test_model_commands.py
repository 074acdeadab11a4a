"""`sample` and `score` on the command line: what is asked of a model, what is printed, how they end."""

import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components import sampler, scorer
from components.novelty import Copied
from components.sampler import Sample, Samples
from components.scorer import TokenScore
from components.served import training_text
from pipeline.cli import main
from pipeline.code import SOURCE_ROOT
from tests.components.exporter import exported
from tests.processes import fresh_environment, heeding_interrupts

DEFAULTS = {
    "model": Path("m"),
    "prompt": "",
    "length": 500,
    "min_length": 0,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "greedy": False,
    "repetition_stop": 0,
    "seed": None,
    "num": 1,
    "stream": None,
}


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replaces the sampler by one that records its arguments."""
    made: list[dict[str, Any]] = []

    def sample(**arguments: Any) -> Samples:
        made.append(arguments)
        texts = [Sample("<", f"text {i}", 7 + i, 6, -12.0, i == 1, i == 2) for i in range(arguments["num"])]
        if arguments["stream"]:
            for number, text in enumerate(texts):
                for letter in text.text:
                    arguments["stream"](number, letter)
        return Samples(texts, 0.5)

    def copies_of(model: Path, corpus: dict[str, str], texts: list[str]) -> list[Copied] | None:
        made.append({"corpus": corpus, "texts": texts})
        return [Copied(text[:4], "one.txt", 3) for text in texts] if corpus else None

    monkeypatch.setattr(sampler, "sample", sample)
    monkeypatch.setattr(training_text, "copies_of", copies_of)
    return made


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the model by one that gives each token a nat; returns the texts it was asked about."""
    texts: list[str] = []

    class Scorer:
        def __init__(self, model: Path) -> None:
            assert model == Path("m")

        def score(self, text: str) -> dict[str, float | int]:
            texts.append(text)
            return {"nats": 1.0, "bits_per_char": 1.5, "perplexity": math.e, "tokens": len(text) + 1}

        def tokens(self, text: str) -> Iterator[TokenScore]:
            for token in [*text, "<end>"]:
                yield TokenScore(token, -1.0, 2, "\n", -0.5)

    monkeypatch.setattr(scorer, "Scorer", Scorer)
    return texts


def standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sample"], "required: --model"),
        (["sample", "--model", ".", "--length", "-1"], "--length must be >= 0 and below 2^31. Received: -1."),
        (["sample", "--model", ".", "--min-length", "-1"], "--min-length must be >= 0 and at most --length. Received"),
        (["sample", "--model", ".", "--length", "5", "--min-length", "6"], "--min-length must be >= 0 and at most"),
        (["sample", "--model", ".", "--temperature", "nan"], "--temperature must be >= 0 and finite. Received: nan."),
        (["sample", "--model", ".", "--temperature", "inf"], "--temperature must be >= 0 and finite. Received: inf."),
        (["sample", "--model", ".", "--temperature", "1e39"], "--temperature must"),
        (["sample", "--model", ".", "--temperature", "-1"], "--temperature must"),
        (["sample", "--model", ".", "--top-k", "-1"], "--top-k must"),
        (["sample", "--model", ".", "--top-p", "0"], "--top-p must be > 0 and <= 1. Received: 0.0."),
        (["sample", "--model", ".", "--repetition-stop", "-1"], "--repetition-stop must be >= 0 (0: never)"),
        (["sample", "--model", ".", "--num", "0"], "--num must"),
        (["sample", "--model", ".", "--json", "--stream"], "--stream must come without --json"),
        (["sample", "--model", ".", "--corpus", "a.txt"], "--corpus must"),
        (["sample", "--model", ".", "--prompt", "\udcff"], "--prompt must be UTF-8"),
        (["sample", "--model", ".", "--prompt", "a", "--prompt-file", "b"], "not allowed with argument --prompt"),
        (["sample", "--model", ".", "--prompt-file", "none.txt"], "--prompt-file must be readable"),
        (["sample", "--model", ".", "--stats", "--corpus", "none.txt"], "--corpus must be readable"),
        (["score", "--model", ".", "none.txt"], "score: FILE must be readable"),
        (["score", "--model", ".", "-", "-"], "standard input (-) once"),
    ],
)
def test_bad_usage_exits_2_with_one_line(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("a")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err
    assert err.count("\n") == 1


# ---- sample ---------------------------------------------------------------------------------------------------------


def test_sample_passes_its_arguments_and_prints_the_text(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--prompt h --length 5 --min-length 2 --temperature 0.5 --top-k 3 --top-p 0.9 --repetition-stop 9"
    assert main(["sample", "--model", "m", "--greedy", "--seed", "7", *options.split()]) == 0
    given = {"prompt": "h", "length": 5, "min_length": 2, "temperature": 0.5, "top_k": 3, "top_p": 0.9}
    assert calls == [{**DEFAULTS, **given, "greedy": True, "repetition_stop": 9, "seed": 7}]
    assert capsys.readouterr() == ("<text 0\n", "")


def test_sample_streamed_prints_what_it_prints_at_once(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "--model", "m", "--num", "3"]) == 0
    at_once = capsys.readouterr().out
    assert main(["sample", "--model", "m", "--num", "3", "--stream"]) == 0

    assert at_once == "<text 0\n\n<text 1\n\n<text 2\n"
    assert capsys.readouterr().out == at_once
    assert [call["stream"] is None for call in calls] == [True, False]  # guard


def test_sample_reads_the_prompt_from_a_file_or_standard_input_exactly(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("prompt.txt").write_bytes("é\r\n\n".encode())
    standard_input(monkeypatch, "→ \n".encode())

    for file in ("prompt.txt", "-"):
        assert main(["sample", "--model", "m", "--prompt-file", file]) == 0

    assert [call["prompt"] for call in calls] == ["é\r\n\n", "→ \n"]


def test_sample_statistics_are_on_standard_error(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("one.txt").write_text("tex")
    assert main(["sample", "--model", "m", "--num", "3", "--stats", "--corpus", "one.txt"]) == 0
    out, err = capsys.readouterr()
    assert out == "<text 0\n\n<text 1\n\n<text 2\n"
    assert calls[1] == {"corpus": {"one.txt": "tex"}, "texts": ["text 0", "text 1", "text 2"]}
    lines = err.splitlines()
    assert lines[:4] == [
        "text 1: seed 7",
        "  tokens      6, ended by length",
        "  ln p        -2.0000 per token",
        "  copied      4 of 6 characters: 'text' (one.txt, line 3)",
    ]
    assert lines[5:7] == ["  tokens      6, ended by <end>", "  ln p        -1.7143 per token"]
    assert lines[9] == "  tokens      6, ended by repetition"
    assert lines[12:] == ["36 characters/s (0.50 s for all texts)"]


@pytest.mark.usefixtures("calls")
def test_sample_statistics_without_a_corpus_say_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "--model", "m", "--stats"]) == 0
    assert "copied      unknown; give --corpus FILE" in capsys.readouterr().err


@pytest.mark.usefixtures("calls")
def test_sample_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.txt").write_text("tex")
    arguments = ["sample", "--model", "m", "--num", "2", "--json"]
    assert main(arguments) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*arguments, "--stats", "--corpus", "one.txt"]) == 0
    out, err = capsys.readouterr()

    assert err == ""
    assert (plain["seconds"], plain["characters_per_second"]) == (0.5, 24.0)
    assert plain["samples"][1] == {
        "text": "<text 1",
        "prompt": "<",
        "continuation": "text 1",
        "seed": 8,
        "tokens": 6,
        "log_prob": -12.0,
        "finished": True,
        "repeated": False,
    }
    copied = {"copied": {"span": "text", "source": "one.txt", "line": 3}}
    assert json.loads(out)["samples"] == [{**sample, **copied} for sample in plain["samples"]]


# ---- score ----------------------------------------------------------------------------------------------------------


def test_score_reads_standard_input_exactly(
    scored: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    standard_input(monkeypatch, "é\r\n".encode())
    assert main(["score", "--model", "m", "--json"]) == 0
    assert scored == ["é\r\n"]
    score = json.loads(capsys.readouterr().out)
    assert score == {"nats": 1.0, "bits_per_char": pytest.approx(1 / math.log(2)), "perplexity": math.e, "tokens": 4}


@pytest.mark.usefixtures("scored")
def test_score_of_one_file_is_four_lines(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.txt").write_text("abc")
    assert main(["score", "--model", "m", "a.txt"]) == 0
    assert capsys.readouterr().out == (
        "nats           1.000000\nbits_per_char  1.500000\nperplexity     2.718282\ntokens         4\n"
    )


def test_score_of_several_files_is_a_table(
    scored: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.txt").write_text("abc")
    standard_input(monkeypatch, b"b")
    assert main(["score", "--model", "m", "a.txt", "-"]) == 0
    assert scored == ["abc", "b"]
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["file", "nats", "bits_per_char", "perplexity", "tokens"]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("a.txt", "1.000000", "4"),
        ("-", "1.000000", "2"),
        ("all", "1.000000", "6"),
    ]


@pytest.mark.usefixtures("scored")
def test_score_verbose_is_a_line_for_each_token(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.txt").write_text("a \n'\\")
    assert main(["score", "--model", "m", "--verbose", "a.txt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["token", "p", "bits", "rank", "likeliest", "other"]
    assert lines[1].split() == ["1", "'a'", "0.3679", "1.44", "2", "'\\n'", "0.6065"]
    shown = [line[9:23].rstrip() for line in lines[1:7]]
    assert shown == ["'a'", "' '", "'\\n'", "'''", "'\\'", "<end>"]
    assert lines[7] == ""
    assert lines[8].split() == ["nats", "1.000000"]


@pytest.mark.usefixtures("scored")
def test_score_json_of_several_files_with_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.txt").write_text("a")
    Path("b.txt").write_text("")
    assert main(["score", "--model", "m", "--verbose", "--json", "a.txt", "b.txt"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert score["tokens"] == 3
    assert [(text["file"], text["tokens"], len(text["per_token"])) for text in score["files"]] == [
        ("a.txt", 2, 2),
        ("b.txt", 1, 1),
    ]
    first = score["files"][0]["per_token"][0]
    assert (first["token"], first["rank"], first["alternative"]) == ("a", 2, "\n")
    assert first["bits"] == pytest.approx(1 / math.log(2))
    assert main(["score", "--model", "m", "--verbose", "--json", "a.txt"]) == 0
    assert len(json.loads(capsys.readouterr().out)["per_token"]) == 2


@pytest.mark.usefixtures("scored")
def test_score_file_that_is_not_utf8_exits_2_with_the_offset(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.txt").write_bytes(b"abc\xff")
    assert main(["score", "--model", "m", "bad.txt"]) == 2
    assert "byte 3 is not" in capsys.readouterr().err


# ---- How they end ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported.full(tmp_path_factory.getbasetemp()).saved_model


@contextlib.contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of run_pipeline.py, with pipes; its output is not buffered here."""
    line = heeding_interrupts(str(SOURCE_ROOT / "run_pipeline.py"), *map(str, arguments))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(line, cwd=SOURCE_ROOT, env=fresh_environment(), bufsize=0, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


# It would take minutes.
ENDLESS = ["--prompt", "ab", "--length", "9000000", "--min-length", "9000000", "--stream"]


def read_beyond_the_prompt(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    read = b""
    while len(read) <= 2:
        new = process.stdout.read(64)
        assert new, process.stderr and process.stderr.read()
        read += new
    assert read.startswith(b"ab")


def wait_until_tensorflow_loads(process: subprocess.Popen[bytes]) -> None:
    maps = Path(f"/proc/{process.pid}/maps")
    while "tensorflow" not in maps.read_text():
        assert process.poll() is None
        time.sleep(0.02)


def end_of(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    assert process.stderr is not None
    return process.wait(timeout=300), process.stderr.read()


@pytest.mark.slow
def test_sample_whose_reader_leaves_ends_quietly(model: Path) -> None:
    with started("sample", "--model", model, *ENDLESS) as process:
        read_beyond_the_prompt(process)
        assert process.stdout is not None
        process.stdout.close()
        assert end_of(process) == (141, b"")


def test_sample_whose_reader_leaves_before_the_first_character_ends_quietly(model: Path) -> None:
    with started("sample", "--model", model, "--length", "3") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert end_of(process) == (141, b"")


@pytest.mark.slow
def test_score_whose_reader_leaves_ends_quietly(model: Path) -> None:
    Path("long.txt").write_text("abc" * 20_000)
    with started("score", "--model", model, "--verbose", Path("long.txt").absolute()) as process:
        assert process.stdout is not None
        assert process.stdout.read(9)
        process.stdout.close()
        assert end_of(process) == (141, b"")


@pytest.mark.slow
def test_sample_interrupted_in_the_middle_of_a_stream_ends_quietly(model: Path) -> None:
    with started("sample", "--model", model, *ENDLESS) as process:
        read_beyond_the_prompt(process)
        process.send_signal(signal.SIGINT)
        assert end_of(process) == (130, b"Interrupted.\n")


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs /proc, to see what is loaded")  # noqa: PTH110
@pytest.mark.parametrize("command", ["sample", "score"])
def test_command_interrupted_while_tensorflow_loads_ends_quietly(command: str, model: Path) -> None:
    with started(command, "--model", model) as process:
        assert process.stdin is not None
        process.stdin.close()
        wait_until_tensorflow_loads(process)
        process.send_signal(signal.SIGINT)
        code, errors = end_of(process)
    assert code == 130
    # While TensorFlow is loaded, nobody hears what is said on stderr.
    assert errors in (b"", b"Interrupted.\n")


def test_score_interrupted_while_it_reads_standard_input_ends_quietly(model: Path) -> None:
    with started("score", "--model", model) as process:
        assert process.stdin is not None
        process.stdin.write(b"x" * 100_000)  # more than the pipe holds: when it is through, the command reads
        process.send_signal(signal.SIGINT)
        assert end_of(process) == (130, b"Interrupted.\n")
