"""The ExampleGen stage: what it writes, and that it writes nothing when a document is bad."""

import bz2
import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen import groups
from tests.components.example_gen.corpora import (
    SPLITS,
    bad_records,
    documents,
    everything,
    fields,
    generate,
    stage,
    texts,
    write,
)


def test_stage_inline_same_writes_the_text_to_every_split(tmp_path: Path) -> None:
    examples = generate(tmp_path / "examples", "inline:hello")
    assert texts(examples) == dict.fromkeys(("Split-eval", "Split-test", "Split-train"), b"hello")
    for split in SPLITS:
        assert (examples / f"Split-{split}" / "documents.jsonl").read_text("utf-8") == '{"id": "inline"}\n'
        assert np.load(examples / f"Split-{split}" / "offsets.npy").tolist() == [[0, 0], [5, 5]]


def test_stage_strange_files_survive_byte_for_byte(tmp_path: Path) -> None:
    files = {
        "bom.txt": b"\xef\xbb\xbfwith a mark",
        "crlf.txt": b"one\r\ntwo\rthree\n",
        "nul.txt": b"a\0b",
        "unicode é.txt": "𝄞 e\u0301 \u0085\u2028\ufeff 𐍈".encode(),
    }
    (tmp_path / "corpus").mkdir()
    for name, content in files.items():
        (tmp_path / "corpus" / name).write_bytes(content)
    examples = generate(tmp_path / "examples", f"text:{tmp_path}/corpus/*.txt")
    assert documents(examples, "train") == sorted(files.items())
    assert texts(examples)["Split-train"] == b"".join(content for _, content in sorted(files.items()))


def test_stage_index_counts_characters_not_bytes(tmp_path: Path) -> None:
    examples = generate(tmp_path / "examples", "inline:a𝄞é")
    assert np.load(examples / "Split-train" / "offsets.npy").tolist() == [[0, 0], [1 + 4 + 2, 3]]


def test_stage_enough_files_are_whole_documents_of_one_split(tmp_path: Path) -> None:
    contents = {f"{i:02}.txt": f"document {i} é".encode() * (i + 1) for i in range(20)}
    (tmp_path / "corpus").mkdir()
    for name, content in contents.items():
        (tmp_path / "corpus" / name).write_bytes(content)
    splits = {"train": 0.6, "eval": 0.2, "test": 0.2}
    examples = generate(tmp_path / "examples", f"text:{tmp_path}/corpus/*.txt", splits)
    parts = [documents(examples, split) for split in SPLITS]
    assert all(len(part) > 1 for part in parts)
    assert sorted(entry for part in parts for entry in part) == sorted(contents.items())


def test_stage_two_runs_write_equal_files(tmp_path: Path) -> None:
    names = [f"{i}.txt" for i in range(12)]
    for folder, order in (("here", names), ("there", names[::-1])):
        (tmp_path / folder).mkdir()
        for name in order:
            (tmp_path / folder / name).write_text(f"{name} " * 30, encoding="utf-8")
    outputs = [
        everything(generate(tmp_path / f"examples-{name}", f"text:{tmp_path}/{name}/*.txt", {}))
        for name in ("here", "there")
    ]
    assert len(outputs[0]) == 3 * 4 + 1
    assert outputs[0] == outputs[1]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), st.integers(1, 98))
@example("é𝄞" * 20, 90)
@example("ab", 90)
@settings(max_examples=100, deadline=None)
def test_stage_single_document_splits_concatenate_to_it_or_are_refused(text: str, percent: int) -> None:
    splits = {"train": percent / 100, "eval": 0.01, "test": 1 - percent / 100 - 0.01}
    with tempfile.TemporaryDirectory() as folder:
        try:
            parts = texts(generate(Path(folder) / "examples", f"inline:{text}", splits))
        except ValueError as error:
            if "every split must hold a character" not in str(error):
                raise
            return
    assert b"".join(parts[f"Split-{split}"] for split in SPLITS) == text.encode()
    assert all(parts.values())


def test_stage_single_document_long_enough_is_split(tmp_path: Path) -> None:
    text = "".join(chr(0x400 + i) for i in range(100))
    parts = texts(generate(tmp_path / "examples", f"inline:{text}", {}))
    assert [parts[f"Split-{split}"].decode() for split in SPLITS] == [text[:90], text[90:95], text[95:]]


def test_stage_split_without_a_character_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every split must hold a character\. Received: 2 characters in all, none"):
        generate(tmp_path / "examples", "inline:ab", {})
    assert list((tmp_path / "examples").iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "message"), [(b"caf\xe9", r"must be UTF-8.*byte offset 3: byte 0xe9"), (b"", "must not be empty")]
)
def test_stage_last_file_bad_writes_nothing(tmp_path: Path, bad: bytes, message: str) -> None:
    (tmp_path / "corpus").mkdir()
    for i in range(9):
        (tmp_path / "corpus" / f"{i}.txt").write_text("good text " * 50, encoding="utf-8")
    source = f"text:{tmp_path}/corpus/*.txt"
    assert everything(generate(tmp_path / "good", source))  # guard: the others are fine
    (tmp_path / "corpus" / "9.txt").write_bytes(bad)
    with pytest.raises(ValueError, match=message) as caught:
        generate(tmp_path / "examples", source)
    assert f"{tmp_path}/corpus/9.txt" in str(caught.value)
    assert list((tmp_path / "examples").iterdir()) == []


def test_stage_environment_one_changed_byte_changes_it(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_bytes(b"text")
    corpus = stage(f"text:{tmp_path}/*.txt")
    before = corpus.environment(tmp_path)
    assert corpus.environment(tmp_path) == before
    (tmp_path / "one.txt").write_bytes(b"teXt")
    assert corpus.environment(tmp_path) != before


def test_stage_environment_missing_corpus_raises_as_run_does(tmp_path: Path) -> None:
    corpus = stage(f"text:{tmp_path}/*.txt")
    with pytest.raises(ValueError, match="must match at least one file"):
        corpus.environment(tmp_path)
    with pytest.raises(ValueError, match="must match at least one file"):
        corpus.run({}, {"examples": tmp_path}, tmp_path)


def test_stage_line_per_document_with_numbers_as_ids(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.txt": b"one\n\ntwo\r\n", "in/b.txt": "drei é".encode()})
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/*.txt", document="line")
    assert documents(examples) == [
        ("a.txt:1", b"one"),
        ("a.txt:2", b""),
        ("a.txt:3", b"two"),
        ("b.txt:1", "drei é".encode()),
    ]


def test_stage_separator_between_documents(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.txt": b"one\nmore<|end|>two<|end|>"})
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/*.txt", document={"separator": "<|end|>"})
    assert documents(examples) == [("a.txt:1", b"one\nmore"), ("a.txt:2", b"two")]


def test_stage_compressed_files_of_all_kinds_are_read(tmp_path: Path) -> None:
    compressed = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.ZstdCompressor().compress}
    write(tmp_path, {f"in/a{suffix}": compress(b"one\ntwo\n") for suffix, compress in compressed.items()})
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/*", document="line")
    assert documents(examples) == [
        (f"a{suffix}:{number}", text)
        for suffix in (".bz2", ".gz", ".zst")
        for number, text in ((1, b"one"), (2, b"two"))
    ]


def test_stage_json_lines_keep_their_fields(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.jsonl": b'{"text": "one", "stars": 5}\n{"id": "x", "text": "two"}\n'})
    examples = generate(tmp_path / "out", f"jsonl:{tmp_path}/in/*.jsonl")
    assert documents(examples) == [("a.jsonl:1", b"one"), ("a.jsonl:2", b"two")]
    assert fields(examples) == [{"id": "a.jsonl:1", "stars": 5}, {"id": "a.jsonl:2", "source_id": "x"}]


def test_stage_own_ids_and_given_splits(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.csv": b"key,body,part,note\nk1,one,train,n\nk2,two,dev,\nk3,three,test,n\n"})
    examples = generate(
        tmp_path / "out",
        f"csv:{tmp_path}/in/*.csv",
        "given",
        fields={"text": "body", "id": "key", "split": "part"},
    )
    assert {split: documents(examples, split) for split in SPLITS} == {
        "train": [("k1", b"one")],
        "eval": [("k2", b"two")],
        "test": [("k3", b"three")],
    }
    assert fields(examples, "eval") == [{"id": "k2", "note": ""}]


def test_stage_tab_separated_values(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.tsv": b'text\tname\n"one\tn\n'})
    examples = generate(tmp_path / "out", f"tsv:{tmp_path}/in/*.tsv")
    assert (documents(examples), fields(examples)) == ([("a.tsv:1", b'"one')], [{"id": "a.tsv:1", "name": "n"}])


def test_stage_given_splits_by_file_names(tmp_path: Path) -> None:
    write(tmp_path, {f"in/{name}.txt": name.encode() for name in ("train/a", "train/b", "validation", "test-1")})
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/**/*.txt", "given")
    assert texts(examples) == {
        "Split-train": b"train/atrain/b",
        "Split-eval": b"validation",
        "Split-test": b"test-1",
    }


def test_stage_given_splits_of_files_that_name_none_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"in/train.txt": b"one", "in/rest.txt": b"two"})
    with pytest.raises(ValueError, match=r"must hold one of train, .*Received: 'rest\.txt'"):
        generate(tmp_path / "out", f"text:{tmp_path}/in/*.txt", "given")


def test_stage_by_position_is_contiguous(tmp_path: Path) -> None:
    write(tmp_path, {"in/a.txt": b"".join(b"line %d\n" % i for i in range(10, 90))})
    shares = {"train": 0.5, "eval": 0.25, "test": 0.25}
    examples = generate(tmp_path / "out", f"text:{tmp_path}/in/*.txt", shares, split_by="position", document="line")
    found = [documents(examples, split) for split in SPLITS]
    assert [name for part in found for name, _ in part] == [f"a.txt:{i}" for i in range(1, 81)]
    assert [len(part) for part in found] == [40, 20, 20]


def test_stage_large_file_of_lines_is_divided_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"line %d " % i + b"x" * (i % 37) for i in range(2000)]
    lines[700] = b"bad \xff"
    lines[1500] = b"y" * 5000  # longer than a piece
    write(tmp_path, {"in/a.txt": b"\n".join(lines)})
    settings = {"document": "line", "on_bad_record": "skip"}
    whole = generate(tmp_path / "whole", f"text:{tmp_path}/in/*.txt", {}, **settings)
    monkeypatch.setattr(groups, "GROUP_BYTES", 1000)
    assert len(stage(f"text:{tmp_path}/in/*.txt", document="line")._job("")[1]) > 50  # guard: it is divided
    divided = generate(tmp_path / "divided", f"text:{tmp_path}/in/*.txt", {}, **settings)
    assert everything(divided) == everything(whole)
    assert bad_records(whole) == [
        {"file": "a.txt", "offset": len(b"\n".join(lines[:700])) + 5, "line": 701}
        | {"reason": "a document must be UTF-8: byte 0xff (invalid start byte)"}
    ]
