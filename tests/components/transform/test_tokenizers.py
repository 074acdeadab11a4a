"""Tokenizers: which id a symbol has, there and back, and through their files."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
    load,
)

CHARACTERS = st.characters(codec="utf-8")
SPECIALS = st.lists(st.sampled_from(["unk", "pad"]), unique=True).flatmap(lambda rest: st.permutations(["end", *rest]))
AWKWARD = "\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\ufeff <>U+é𝄞\U0010ffff"


def vocabulary(text: str, specials: tuple[str, ...] = ("end", "unk", "pad"), min_count: int = 1) -> CharTokenizer:
    return CharTokenizer.from_counts(Counter(map(ord, text)), specials, min_count)


def test_vocabulary_ids_are_specials_then_code_points_in_order() -> None:
    v = vocabulary("hello é𝄞", ("end", "pad", "unk"))
    assert v.tokens == ["<end>", "<pad>", "<unk>", " ", "e", "h", "l", "o", "é", "𝄞"]
    assert len(v) == 10
    assert (v.end, v.unknown) == (0, 2)


def test_vocabulary_order_of_counting_does_not_matter() -> None:
    assert vocabulary("abc").tokens == vocabulary("cba").tokens


@pytest.mark.parametrize(("min_count", "kept"), [(1, "abcd"), (2, "abc"), (3, "ab"), (4, "a"), (5, "")])
def test_vocabulary_min_count_keeps_characters_seen_that_often(min_count: int, kept: str) -> None:
    assert vocabulary("aaaabbbccd", min_count=min_count).characters == kept


def test_vocabulary_unsampled_is_every_special_but_end() -> None:
    assert vocabulary("a", ("unk", "end", "pad")).unsampled == [0, 2]
    assert vocabulary("a", ("end",)).unsampled == []


def test_encode_known_characters_are_their_ids() -> None:
    ids = vocabulary("abc𝄞").encode("c𝄞ab")
    assert ids.tolist() == [5, 6, 3, 4]
    assert ids.dtype == np.uint8  # the smallest that holds every id


def test_encode_character_outside_is_unk() -> None:
    v = vocabulary("ab", ("end", "pad", "unk"))
    assert v.encode("aXb\U0010ffff").tolist() == [3, 2, 4, 2]


def test_encode_without_unk_character_outside_is_end() -> None:
    v = vocabulary("ab", ("end",))
    assert v.unknown is None
    assert v.encode("aXb").tolist() == [1, 0, 2]


def test_encode_empty_text_is_no_ids() -> None:
    assert vocabulary("ab").encode("").tolist() == []


def test_decode_specials_are_written_by_name() -> None:
    assert vocabulary("ab").decode([0, 3, 1, 4, 2]) == "<end>a<unk>b<pad>"


@given(st.text(CHARACTERS))
@example(AWKWARD)
def test_decode_of_encode_is_the_text(text: str) -> None:
    assert vocabulary(text).decode(vocabulary(text).encode(text)) == text


@given(text=st.text(CHARACTERS, max_size=60), specials=SPECIALS)
@example(text=AWKWARD, specials=["pad", "end", "unk"])
@example(text="", specials=["end"])
def test_vocabulary_saved_and_loaded_is_equal(
    tmp_path_factory: pytest.TempPathFactory, text: str, specials: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    saved = vocabulary(text, tuple(specials))
    saved.save(folder)
    assert load(folder) == saved


def test_vocabulary_file_is_id_bytes_and_name(tmp_path: Path) -> None:
    vocabulary("a\n𝄞", ("end", "unk")).save(tmp_path)
    assert (tmp_path / "vocabulary.tsv").read_bytes() == (
        b"0\t\t<end>\n1\t\t<unk>\n2\t0a\t\\n\n3\t61\ta\n4\tf09d849e\t" + "𝄞\n".encode()
    )


def test_load_missing_file_is_refused_with_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold a readable tokenizer\.json and vocabulary\.tsv") as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vocabulary.tsv", b"a\tb\n"),
        ("vocabulary.tsv", b"0\t\t<end>\n1\tzz\ta\n"),
        ("vocabulary.tsv", b"\xff\n"),
        ("vocabulary.tsv", b"0\t\t<end>\n1\t61\ta\n2\t6162\tab\n"),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"no json"),
        ("tokenizer.json", b'{"kind": "runes", "specials": ["end"], "normalization": "none", "lowercase": false}'),
    ],
)
def test_load_damaged_file_is_refused(tmp_path: Path, file: str, content: bytes) -> None:
    vocabulary("ab", ("end",)).save(tmp_path)
    assert len(load(tmp_path)) == 3  # guard
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError, match=r"must hold a readable tokenizer\.json"):
        load(tmp_path)


# ---- The other kinds ------------------------------------------------------------------------------------------------

WORDS = WordTokenizer.from_counts(count_words("the cat\nthe hat the"), ("end", "unk"))
PAIRS = BpeTokenizer(("end", "pad"), IDENTITY, ((ord("t"), ord("h")), (256, ord("e")), (ord(" "), 257)))


@pytest.mark.parametrize(
    "tokenizer",
    [
        vocabulary("ab\t\u2028", ("unk", "end")),
        CharTokenizer(("end",), TextOptions("NFKC", True), "ab"),
        ByteTokenizer(("end", "unk", "pad"), TextOptions("NFC", False)),
        WORDS,
        PAIRS,
    ],
    ids=lambda tokenizer: tokenizer.kind,
)
def test_load_of_save_is_equal_for_every_kind(tmp_path: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(tmp_path)
    assert load(tmp_path) == tokenizer
    assert len((tmp_path / "vocabulary.tsv").read_bytes().split(b"\n")) == len(tokenizer) + 1


@given(st.text(CHARACTERS))
@example(AWKWARD)
def test_byte_ids_are_the_bytes_behind_the_specials_and_come_back(text: str) -> None:
    tokenizer = ByteTokenizer(("end", "unk", "pad"), IDENTITY)
    assert tokenizer.encode(text).tolist() == [3 + byte for byte in text.encode("utf-8")]
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert (len(tokenizer), tokenizer.tokens[3 + 0xE2]) == (259, "\\xe2")


def test_byte_decode_of_part_of_a_character_is_the_replacement_character() -> None:
    assert ByteTokenizer(("end",), IDENTITY).decode([1 + ord("a"), 1 + 0xE2, 1 + 0x80]) == "a\ufffd"


def test_word_ids_are_the_most_frequent_first() -> None:
    assert WORDS.tokens == ["<end>", "<unk>", "the", "\n", "cat", "hat"]
    assert WORDS.encode("the  dog\n\nhat").tolist() == [2, 1, 3, 3, 5]


def test_word_decode_has_one_space_between_words_and_none_beside_a_newline() -> None:
    assert WORDS.decode(WORDS.encode("  the cat \n hat  the\n")) == "the cat\nhat the\n"


def test_word_vocabulary_size_keeps_the_most_frequent() -> None:
    counts = count_words("a b b c c c d d d d")
    kept = WordTokenizer.from_counts(counts, ("end", "unk"), min_count=2, vocabulary_size=4)
    assert kept.words == ("d", "c")
    assert kept.unknown_among(counts) == 3


def test_word_spelt_like_a_special_is_unknown() -> None:
    counts = count_words("<unk> a <end> a <pad> <x>")
    tokenizer = WordTokenizer.from_counts(counts, ("end", "unk", "pad"))
    assert tokenizer.words == ("a", "<x>")
    assert tokenizer.encode("<unk> a <end>").tolist() == [1, 3, 1]
    assert tokenizer.unknown_among(counts) == 3


def test_bpe_ids_are_merged_pairs_behind_the_specials() -> None:
    assert PAIRS.tokens[-3:] == ["th", "the", " the"]
    assert PAIRS.encode("the thx the").tolist() == [2 + 257, 2 + ord(" "), 2 + 256, 2 + ord("x"), 2 + 258]
    assert PAIRS.decode(PAIRS.encode("the thé the𝄞")) == "the thé the𝄞"


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(("end",), TextOptions("NFKC", True)), WORDS, PAIRS])
def test_only_plain_characters_and_bytes_may_be_cut_anywhere(tokenizer: Tokenizer) -> None:
    assert not tokenizer.is_local
    assert vocabulary("ab").is_local
    assert ByteTokenizer(("end",), IDENTITY).is_local


def test_options_are_applied_before_characters_are_looked_up() -> None:
    tokenizer = CharTokenizer(("end", "unk"), TextOptions("NFC", True), "aé")
    assert tokenizer.encode("E\u0301A").tolist() == [3, 2]


@given(st.text(CHARACTERS))
def test_count_characters_any_text_equals_counter(text: str) -> None:
    assert count_characters(text) == Counter(map(ord, text))
