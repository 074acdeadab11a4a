"""The ExampleGen stage: what it writes, and that it writes nothing when a document is bad."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen.stage import ExampleGen
from pipeline.config import BeamConfig, ExampleGenConfig, SplitsConfig

SPLITS = ("train", "eval", "test")


def stage(source: str, splits: Any = "same") -> ExampleGen:
    return ExampleGen(ExampleGenConfig(source=source, splits=splits), BeamConfig())


def generate(folder: Path, source: str, splits: Any = "same") -> Path:
    folder.mkdir()
    stage(source, splits).run({}, {"examples": folder}, folder.parent)
    return folder


def texts(examples: Path) -> dict[str, bytes]:
    return {path.name: (path / "documents.txt").read_bytes() for path in sorted(examples.iterdir())}


def documents(examples: Path, split: str) -> list[tuple[str, bytes]]:
    """Each document's id and bytes, cut out of the text as the index says."""
    folder = examples / f"Split-{split}"
    text = (folder / "documents.txt").read_bytes()
    ids = [json.loads(line)["id"] for line in (folder / "documents.jsonl").read_bytes().split(b"\n")[:-1]]
    starts = np.load(folder / "offsets.npy")[:, 0].tolist()
    return [(name, text[a:b]) for name, a, b in zip(ids, starts[:-1], starts[1:], strict=True)]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
    splits = SplitsConfig(train=0.6, eval=0.2, test=0.2)
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
        everything(generate(tmp_path / f"examples-{name}", f"text:{tmp_path}/{name}/*.txt", SplitsConfig()))
        for name in ("here", "there")
    ]
    assert len(outputs[0]) == 3 * 4
    assert outputs[0] == outputs[1]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), st.integers(1, 98))
@example("é𝄞" * 20, 90)
@example("ab", 90)
@settings(max_examples=100, deadline=None)
def test_stage_single_document_splits_concatenate_to_it_or_are_refused(text: str, percent: int) -> None:
    splits = SplitsConfig(train=percent / 100, eval=0.01, test=1 - percent / 100 - 0.01)
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
    parts = texts(generate(tmp_path / "examples", f"inline:{text}", SplitsConfig()))
    assert [parts[f"Split-{split}"].decode() for split in SPLITS] == [text[:90], text[90:95], text[95:]]


def test_stage_split_without_a_character_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every split must hold a character\. Received: 2 characters in all, none"):
        generate(tmp_path / "examples", "inline:ab", SplitsConfig())
    assert list((tmp_path / "examples").iterdir()) == []


@pytest.mark.parametrize(("bad", "message"), [(b"caf\xe9", "byte offset 3"), (b"", "must not be empty")])
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
