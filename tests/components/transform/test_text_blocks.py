"""Blocks of text: where they are cut, and that their tokens are those of the documents, whatever the borders."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.documents import Documents
from components.transform.text_blocks import block_ranges, count_block, encode_block, segments
from components.transform.text_options import TextOptions
from components.transform.tokenizers import (
    IDENTITY,
    BpeTokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    count_characters,
    count_words,
)
from tests.components.transform.reference import write_examples

CHARACTERS = "aéb—𝄞\n \te\u0301"
TEXTS = st.text(st.one_of(st.sampled_from(CHARACTERS), st.characters(codec="utf-8")), max_size=15)
SPECIALS = ("end", "unk")
TOKENIZERS: list[Tokenizer] = [
    CharTokenizer(SPECIALS, IDENTITY, "".join(sorted(CHARACTERS))),
    CharTokenizer(SPECIALS, TextOptions("NFC", lowercase=True), "abé \n"),
    ByteTokenizer(SPECIALS, IDENTITY),
    ByteTokenizer(SPECIALS, TextOptions("NFKC", lowercase=False)),
    WordTokenizer(SPECIALS, IDENTITY, ("a", "\n", "é—", "b")),
    BpeTokenizer(SPECIALS, IDENTITY, ((32, 97), (256, 98), (0xC3, 0xA9))),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


def written(folder: Path, texts: Sequence[str]) -> Documents:
    write_examples(folder, {"train": texts})
    return Documents(folder / "Split-train")


@pytest.mark.parametrize(
    ("texts", "anywhere", "block", "blocks"),
    [
        (["abcd"], True, 2, ["ab", "cd"]),
        (["aéb"], True, 2, ["aé", "b"]),  # é is bytes 1 and 2
        (["a𝄞b"], True, 2, ["a𝄞", "b"]),
        (["a𝄞"], True, 2, ["a𝄞"]),
        (["\r\n"], True, 1, ["\r", "\n"]),
        (["abc de f"], False, 2, ["abc", " de", " f"]),
        (["abcdef"], False, 2, ["abcdef"]),  # nowhere to cut
        (["abc", "def"], False, 2, ["abc", "def"]),  # but where a document opens
        (["abc", "", "", "def"], False, 3, ["abc", "def"]),
        (["ab\u2028\u00a0c\nd"], False, 1, ["ab\u2028\u00a0c", "\nd"]),  # blanks beyond ASCII are no border
        ([], True, 4, [""]),
        (["", ""], False, 4, [""]),
    ],
)
def test_block_ranges_are_cut_where_nothing_reaches_across(
    folder: Path, texts: list[str], anywhere: bool, block: int, blocks: list[str]
) -> None:
    documents, raw = written(folder, texts), "".join(texts).encode()
    assert [raw[start:stop].decode() for start, stop in block_ranges(documents, anywhere, block)] == blocks


def test_block_ranges_a_border_far_away_is_found(folder: Path) -> None:
    documents = written(folder, ["x" * 9_999 + " y", "z" * 20_000])
    assert list(block_ranges(documents, False, 100)) == [(0, 9_999), (9_999, 30_001)]
    assert list(block_ranges(documents, False, 1)) == [(0, 9_999), (9_999, 10_001), (10_001, 30_001)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=lambda t: f"{t.kind}-{t.options.normalization}")
@given(texts=st.lists(TEXTS, max_size=6), block=st.integers(1, 9))
@example(texts=["", "", "𝄞a b", "", "e", "\u0301 b a b", ""], block=1)
@example(texts=["a", "b"], block=1)
@settings(max_examples=80, deadline=None)
def test_encode_block_all_blocks_are_the_documents_one_by_one(
    folder: Path, tokenizer: Tokenizer, texts: list[str], block: int
) -> None:
    documents = written(folder, texts)
    ranges = list(block_ranges(documents, tokenizer.is_local, block))
    blocks = [encode_block(documents, *span, tokenizer).tolist() for span in ranges]
    assert [i for block in blocks for i in block] == [
        i for text in texts for i in [tokenizer.end, *tokenizer.encode(text).tolist()]
    ]


@given(texts=st.lists(TEXTS, max_size=6), block=st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_count_block_all_blocks_sum_to_the_documents(folder: Path, texts: list[str], block: int) -> None:
    documents = written(folder, texts)
    for count, anywhere in ((count_characters, True), (count_words, False)):
        total, symbols = 0, Counter()
        for span in block_ranges(documents, anywhere, block):
            tokens, counts = count_block(documents, *span, count, anywhere)
            total, symbols = total + tokens, symbols + counts
        assert symbols == sum((count(text) for text in texts), Counter())
        assert total == symbols.total() + len(texts)


def test_segments_of_all_blocks_concatenate_to_the_documents(folder: Path) -> None:
    texts = ["one two", "", "three four five", "six"]
    read: list[str] = []
    for span in block_ranges(written(folder, texts), False, 4):
        head, opened = segments(Documents(folder / "Split-train"), *span)
        read[-1:] = [read[-1] + head] if read else []
        read += opened
    assert read == texts


def test_encode_block_does_not_join_what_documents_keep_apart(folder: Path) -> None:
    documents = written(folder, ["a", "a"])
    word = WordTokenizer(SPECIALS, IDENTITY, ("aa", "a"))
    assert encode_block(documents, 0, 2, word).tolist() == [0, 3, 0, 3]
    assert word.encode("aa").tolist() == [2]  # guard
    assert np.asarray(documents.offsets).tolist() == [[0, 0], [1, 1], [2, 2]]
