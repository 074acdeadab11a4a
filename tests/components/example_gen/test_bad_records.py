"""Bad records: a corpus of which one in a hundred is damaged, in every way that files and records can be."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from components.example_gen.bad_records import repeated
from tests.components.example_gen.corpora import bad_records, documents, everything, generate, write

RECORDS = 1000
DAMAGED = sorted(random.Random(0).sample(range(RECORDS), RECORDS // 100))


def damaged_lines(line: Callable[[int], bytes], damage: Callable[[bytes], bytes]) -> bytes:
    return b"\n".join(damage(line(i)) if i in DAMAGED else line(i) for i in range(RECORDS)) + b"\n"


def text_line(number: int) -> bytes:
    return f"é line {number}".encode()


def json_line(number: int) -> bytes:
    return json.dumps({"text": f"line {number}", "n": number}).encode()


def csv_line(number: int) -> bytes:
    return f'{number},"line, {number}"'.encode()


CASES: dict[str, tuple[str, dict[str, Any], bytes, str]] = {
    "invalid UTF-8 in a line": (
        "text:{}/*.txt",
        {"document": "line"},
        damaged_lines(text_line, lambda raw: raw[:1] + raw[2:]),
        "byte 0xc3 (invalid continuation byte)",
    ),
    "malformed JSON": ("jsonl:{}/*.txt", {}, damaged_lines(json_line, lambda raw: raw[:-1]), "Expecting ',' delimiter"),
    "JSON that is no object": ("jsonl:{}/*.txt", {}, damaged_lines(json_line, lambda raw: b"[1]"), "a list"),
    "missing field": ("jsonl:{}/*.txt", {}, damaged_lines(json_line, lambda raw: b'{"n": 1}'), "only 'n'"),
    "text that is none": ("jsonl:{}/*.txt", {}, damaged_lines(json_line, lambda raw: b'{"text": 1}'), "1 of type int"),
    "quote never closed": (
        "csv:{}/*.txt",
        {},
        b"n,text\n" + damaged_lines(csv_line, lambda raw: raw[:-1]),
        "unexpected end of data",
    ),
    "values missing": (
        "tsv:{}/*.txt",
        {},
        b"n\ttext\n" + damaged_lines(lambda i: b"%d\tline" % i, lambda raw: raw.replace(b"\t", b" ")),
        "1 values for the 2 names",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_bad_record_in_a_hundred_skip_lists_them_and_keeps_the_rest(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, settings, raw, reason = CASES[name]
    write(tmp_path, {"in/a.txt": raw})
    examples = generate(tmp_path / "out", source.format(tmp_path / "in"), on_bad_record="skip", **settings)
    assert [name for name, _ in documents(examples)] == [f"a.txt:{i + 1}" for i in range(RECORDS) if i not in DAMAGED]
    header = int(source.startswith(("csv", "tsv")))
    starts = np.cumsum([0, *(len(line) + 1 for line in raw.split(b"\n"))])
    found = bad_records(examples)
    assert [(bad["file"], bad["line"]) for bad in found] == [("a.txt", i + 1 + header) for i in DAMAGED]
    for bad in found:
        start, stop = starts[bad["line"] - 1], starts[bad["line"]]
        assert start <= bad["offset"] < stop
        assert bad["offset"] == start or "byte" in reason
        # What a quote without an end is taken for depends on what comes after it.
        assert reason in bad["reason"] or name == "quote never closed"
    assert f"ExampleGen: 10 of {RECORDS:,} records are bad and left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", CASES)
def test_one_bad_record_in_a_hundred_fail_names_the_first_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    source, settings, raw, _ = CASES[name]
    write(tmp_path, {"in/a.txt": raw, "in/b.txt": b"\xff"})
    with pytest.raises(ValueError, match=r"^ExampleGen: .*\(the first of 11 bad records\)") as caught:
        generate(tmp_path / "out", source.format(tmp_path / "in"), **settings)
    line = DAMAGED[0] + 1 + source.startswith(("csv", "tsv"))
    assert f"Received: {tmp_path}/in/a.txt, line {line}, byte offset " in str(caught.value)
    assert "example_gen.on_bad_record: skip" in str(caught.value)
    assert everything(tmp_path / "out") == {}
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "raw", "offset", "reason"),
    [
        ("b.txt", "é".encode() * 9 + b"\xff", 18, "byte 0xff (invalid start byte)"),
        ("b.txt", b"", 0, "a file of 0 bytes"),
        ("b.txt.gz", gzip.compress(b"text " * 1000)[:-9], 0, "the .gz data is cut off"),
        ("b.txt.zst", zstandard.ZstdCompressor().compress(b"text " * 1000)[:-9], 0, "the .zst data is cut off"),
        ("b.txt.gz", b"no gzip at all", 0, "the .gz data is corrupt"),
    ],
    ids=["not UTF-8", "empty", "gzip cut off", "zstandard cut off", "no gzip"],
)
def test_bad_file_among_files_is_skipped_or_named(
    name: str, raw: bytes, offset: int, reason: str, tmp_path: Path
) -> None:
    write(tmp_path, {"in/a.txt": b"one", "in/c.txt": b"three", f"in/{name}": raw})
    source = f"text:{tmp_path}/in/*"
    examples = generate(tmp_path / "skip", source, on_bad_record="skip")
    assert documents(examples) == [("a.txt", b"one"), ("c.txt", b"three")]
    (bad,) = bad_records(examples)
    assert (bad["file"], bad["offset"], "line" in bad) == (name, offset, False)
    assert reason in bad["reason"]
    with pytest.raises(ValueError, match="ExampleGen: ") as caught:
        generate(tmp_path / "fail", source)
    assert f"{tmp_path}/in/{name}, byte offset {offset}: {reason}" in str(caught.value)
    assert list((tmp_path / "fail").iterdir()) == []


def test_cut_off_file_of_lines_keeps_those_before(tmp_path: Path) -> None:
    lines = [b"line %d " % i + random.Random(i).randbytes(20).hex().encode() for i in range(5000)]
    write(tmp_path, {"in/a.txt.gz": gzip.compress(b"\n".join(lines))[:-50_000], "in/b.txt": b"whole"})
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/*", document="line", on_bad_record="skip")
    found = [text for _, text in documents(examples)]
    assert 1000 < len(found) < 5000
    assert found == [*lines[: len(found) - 1], b"whole"]
    (bad,) = bad_records(examples)
    assert (bad["line"], bad["offset"]) == (len(found), sum(len(line) + 1 for line in lines[: len(found) - 1]))


def test_repeated_id_is_a_bad_record(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "in/a.jsonl": b'{"k": "x", "text": "1"}\n{"k": "y", "text": "2"}\n{"k": "x", "text": "3"}\nbad\n',
            "in/b.jsonl": b'{"k": "z", "text": "4"}\n\n{"k": "y", "text": "5"}\n',
        },
    )
    source, keys = f"jsonl:{tmp_path}/in/*", {"text": "text", "id": "k"}
    examples = generate(tmp_path / "skip", source, on_bad_record="skip", fields=keys)
    assert documents(examples) == [("x", b"1"), ("y", b"2"), ("z", b"4")]
    assert [(bad["file"], bad["line"], bad["offset"]) for bad in bad_records(examples)] == [
        ("a.jsonl", 3, 48),
        ("a.jsonl", 4, 72),
        ("b.jsonl", 3, 25),
    ]
    with pytest.raises(ValueError, match=r"an id must belong to one record.*a\.jsonl, line 3, byte offset 48"):
        generate(tmp_path / "fail", source, fields=keys)


def test_repeated_finds_all_but_the_first() -> None:
    assert repeated(np.array([5, 3, 5, 5, 9, 3], np.uint64)).tolist() == [False, False, True, True, False, True]


def test_nothing_but_bad_records_is_refused_also_with_skip(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.txt": b"\xff", "in/b.txt": b"\xfe"})
    with pytest.raises(ValueError, match=r"must be UTF-8.*a\.txt.*the first of 2"):
        generate(tmp_path / "out", f"text:{tmp_path}/in/*", on_bad_record="skip")
    assert list((tmp_path / "out").iterdir()) == []


def test_skip_without_bad_records_lists_none(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.txt": b"fine"})
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/*", on_bad_record="skip")
    assert bad_records(examples) == []
    assert not (generate(tmp_path / "fail", f"text:{tmp_path}/in/*") / "bad_records.jsonl").exists()
