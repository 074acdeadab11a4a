"""Blocks: every byte once, whole documents where they fit, and no word cut."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.documents import Documents
from components.statistics_gen import blocks
from components.statistics_gen.blocks import Block, cut_blocks
from tests.components.statistics_gen.reference import write_examples


def cut(folder: Path, texts: list[str], size: int) -> list[Block]:
    documents = Documents(write_examples(folder, {"train": texts}) / "Split-train")
    return [block for block in cut_blocks({"train": documents}, size) if block.kind != "fields"]


@given(st.lists(st.text("ab é漢𝄞\n", max_size=30)), st.integers(1, 30))
@example(["a" * 40, "", "", "b"], 8)
@settings(max_examples=100, deadline=None)
def test_cut_blocks_any_documents_are_covered_once_in_order(texts: list[str], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = cut(Path(folder), texts, size)
        raw = (Path(folder) / "Split-train" / "documents.txt").read_bytes()
    assert b"".join(raw[block.start : block.stop] for block in found) == raw
    assert [d for block in found if block.kind == "documents" for d in range(block.first, block.last)] == [
        i for i, text in enumerate(texts) if len(text.encode()) <= size
    ]
    for block in found:
        piece = raw[block.start : block.stop].decode()  # which raises if a character is cut
        if block.kind == "documents":
            assert len(piece.encode()) <= size
        else:
            assert block.last == block.first + 1
            # A part ends with its document, or after whitespace.
            assert block.stop == len("".join(texts[: block.last]).encode()) or piece[-1] in " \n"


def test_cut_blocks_groups_small_documents(tmp_path: Path) -> None:
    found = cut(tmp_path, ["aa", "bb", "", "cc", "dd"], 5)
    assert [(block.first, block.last) for block in found] == [(0, 3), (3, 5)]


def test_cut_blocks_long_run_without_whitespace_is_cut_between_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "漢" * 200
    monkeypatch.setattr(blocks, "_SEARCHED", 30)
    found = cut(tmp_path, [text], 100)
    raw = text.encode()
    assert "".join(raw[block.start : block.stop].decode() for block in found) == text
    assert len(found) == 6


def test_cut_blocks_fields_have_blocks_of_their_own(tmp_path: Path) -> None:
    documents = Documents(write_examples(tmp_path, {"train": ["a"] * 9}) / "Split-train")
    found = [block for block in cut_blocks({"train": documents}, 50) if block.kind == "fields"]
    size = (tmp_path / "Split-train" / "documents.jsonl").stat().st_size
    assert [block.start for block in found] == list(range(0, size, 50))
    assert found[-1].stop == size
