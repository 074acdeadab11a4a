"""Real corpora, if they are at hand, from their files through ExampleGen and Transform with the right counts."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.example_gen.stage import ExampleGen
from components.transform.manifest import Manifest
from components.transform.reader import LaneReader
from components.transform.stage import Transform
from components.transform.tokenizers import Tokenizer, load
from pipeline.config import BeamConfig, ExampleGenConfig, TransformConfig
from tests.real_sets import DATA, files_at_hand


def transformed(tmp_path: Path, files: str, document: str = "file", **settings: Any) -> tuple[Manifest, Tokenizer, str]:
    """Every split is the whole corpus; returns its manifest, its tokenizer and the text of its stream."""
    files_at_hand(files)
    folders = {name: tmp_path / name for name in ("examples", "transform_graph", "transformed_examples")}
    for folder in folders.values():
        folder.mkdir()
    source = ExampleGenConfig(source=f"text:{DATA / files}", splits="same", document=document)
    ExampleGen(source, BeamConfig()).run({}, {"examples": folders["examples"]}, tmp_path)
    Transform(TransformConfig(**settings), BeamConfig()).run({"examples": folders["examples"]}, folders, tmp_path)
    tokenizer = load(folders["transform_graph"])
    stream = LaneReader(folders["transformed_examples"], "train", tokenizer.end).stream()
    return Manifest.load(folders["transformed_examples"]), tokenizer, tokenizer.decode(stream)


def test_tinyshakespeare_by_characters(tmp_path: Path) -> None:
    manifest, tokenizer, text = transformed(tmp_path, "tinyshakespeare/input.txt")
    counts = manifest.splits["train"]
    assert (counts.documents, counts.characters, counts.tokens) == (1, 1_115_394, 1_115_394 + 2)
    assert len(tokenizer) == 65 + 3
    assert text == f"<end>{(DATA / 'tinyshakespeare/input.txt').read_text('ascii')}<end>"


def test_proust_by_characters_and_by_bytes(tmp_path: Path) -> None:
    raw = b"".join(path.read_bytes() for path in DATA.glob("proust_swann_fr/swann.txt"))
    for name, tokens, symbols in (("char", 1_008_905, 92), ("byte", 1_038_562, 256)):
        (tmp_path / name).mkdir()
        manifest, tokenizer, text = transformed(tmp_path / name, "proust_swann_fr/swann.txt", tokenizer=name)
        counts = manifest.splits["train"]
        assert (counts.characters, counts.tokens, counts.unknown) == (1_008_905, tokens + 2, 0)
        assert len(tokenizer) == symbols + 3
        assert text.encode() == b"<end>" + raw + b"<end>"


def test_chinese_poems_by_characters_and_by_byte_pairs(tmp_path: Path) -> None:
    paths = sorted(DATA.glob("tang_song_poems_zh/*.txt"))
    texts = [path.read_bytes().decode() for path in paths]
    characters = sum(map(len, texts))
    for name in ("char", "bpe"):
        (tmp_path / name).mkdir()
        files = "tang_song_poems_zh/*.txt"
        manifest, tokenizer, text = transformed(tmp_path / name, files, tokenizer=name, lanes=8)
        counts = manifest.splits["train"]
        assert (counts.documents, counts.characters) == (2, characters)
        assert text == "<end>" + "".join(f"{text}<end>" for text in texts)
        if name == "char":
            assert len(tokenizer) == 3 + len(set("".join(texts)))
            assert manifest.dtype == "uint16"
        else:
            assert counts.tokens < characters  # a character is three bytes, and less than a token


@pytest.mark.parametrize(("part", "words", "types"), [("valid", 213_886, 13_776), ("test", 241_211, None)])
def test_wikitext2_by_words(tmp_path: Path, part: str, words: int, types: int | None) -> None:
    manifest, tokenizer, _ = transformed(tmp_path, f"wikitext2_valid_test/{part}.txt", tokenizer="word")
    raw = (DATA / f"wikitext2_valid_test/{part}.txt").read_text("utf-8")
    counts = manifest.splits["train"]
    # The usual count of this set has a mark at the end of each line; here that is the newline.
    assert counts.tokens == words + raw.count("\n") + 2
    expected = Counter(re.findall(r"\S+", raw, re.ASCII)) + Counter({"\n": raw.count("\n")})
    assert expected.total() == words + raw.count("\n")
    # Its own mark for a rare word is ours, too.
    assert {token.decode() for token in tokenizer.symbols} == set(expected) - {"<unk>"}
    assert counts.unknown == expected["<unk>"] > 0
    if types is not None:
        assert len(tokenizer) == types - 1 + 1 + 3  # without <unk>, with the newline and the specials


def test_wikitext2_by_lines_is_a_document_a_line(tmp_path: Path) -> None:
    manifest, _, text = transformed(tmp_path, "wikitext2_valid_test/valid.txt", document="line", tokenizer="word")
    raw = (DATA / "wikitext2_valid_test/valid.txt").read_text("utf-8")
    counts = manifest.splits["train"]
    assert counts.documents == raw.count("\n")
    assert counts.tokens == 213_886 + counts.documents + 1
    assert text.count("<end>") == counts.documents + 1
