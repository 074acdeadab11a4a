"""Blocks of text: every character is read exactly once, whatever bytes the borders fall between."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.transform.text_blocks import BLOCK_BYTES, block_ranges, count_characters, read_block

TEXTS = st.text(st.one_of(st.sampled_from("aé—𝄞\n\r\0"), st.characters(codec="utf-8")), max_size=40)


@pytest.mark.parametrize(
    ("size", "block", "ranges"),
    [
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (8, 4, [(0, 4), (4, 8)]),
        (3, 4, [(0, 3)]),
        (0, 4, []),
    ],
)
def test_block_ranges_cover_the_file(size: int, block: int, ranges: list[tuple[int, int]]) -> None:
    assert list(block_ranges(size, block)) == ranges


@pytest.mark.parametrize(
    ("text", "block", "blocks"),
    [
        ("abcd", 2, ["ab", "cd"]),
        ("aéb", 2, ["aé", "b"]),  # é is bytes 1 and 2: it belongs to the block of its first byte
        ("a𝄞b", 2, ["a𝄞", "", "b"]),
        ("a𝄞", 2, ["a𝄞", "", ""]),  # the last block holds the end of a character and nothing else
        ("aé", 2, ["aé", ""]),
        ("éé", 1, ["é", "", "é", ""]),
        ("\r\n", 1, ["\r", "\n"]),
    ],
)
def test_read_block_character_belongs_to_the_block_of_its_first_byte(
    tmp_path: Path, text: str, block: int, blocks: list[str]
) -> None:
    path = tmp_path / "text"
    path.write_bytes(text.encode())
    assert [read_block(path, *span) for span in block_ranges(path.stat().st_size, block)] == blocks


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text") / "text"


@given(text=TEXTS, block=st.integers(1, 9))
@example(text="𝄞", block=1)
@settings(max_examples=200, deadline=None)
def test_read_block_all_blocks_concatenate_to_the_text(text_file: Path, text: str, block: int) -> None:
    text_file.write_bytes(text.encode())
    spans = block_ranges(text_file.stat().st_size, block)
    assert "".join(read_block(text_file, *span) for span in spans) == text


@pytest.mark.parametrize("before", [BLOCK_BYTES - 1, BLOCK_BYTES - 3])
def test_read_block_real_block_size_ending_inside_the_last_character(tmp_path: Path, before: int) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"x" * before + "𝄞".encode())
    first, second = (read_block(path, *span) for span in block_ranges(path.stat().st_size))
    assert (first[-1], len(first), second) == ("𝄞", before + 1, "")


@given(TEXTS)
def test_count_characters_any_text_equals_counter(text: str) -> None:
    assert count_characters(text) == {ord(character): count for character, count in Counter(text).items()}
