"""The vocabulary: which id a character has, there and back, and through its file."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.transform.vocabulary import Vocabulary

CHARACTERS = st.characters(codec="utf-8")
SPECIALS = st.lists(st.sampled_from(["unk", "pad"]), unique=True).flatmap(lambda rest: st.permutations(["end", *rest]))
AWKWARD = "\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\ufeff <>U+é𝄞\U0010ffff"


def vocabulary(text: str, specials: tuple[str, ...] = ("end", "unk", "pad"), min_count: int = 1) -> Vocabulary:
    return Vocabulary.from_counts(Counter(map(ord, text)), specials, min_count)


def test_vocabulary_ids_are_specials_then_code_points_in_order() -> None:
    v = vocabulary("hello é𝄞", ("end", "pad", "unk"))
    assert v.tokens == ["<end>", "<pad>", "<unk>", " ", "e", "h", "l", "o", "é", "𝄞"]
    assert v.code_points == [-1, -2, -3, 0x20, 0x65, 0x68, 0x6C, 0x6F, 0xE9, 0x1D11E]
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
    assert ids.dtype == np.int32


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
    assert Vocabulary.load(folder) == saved


def test_vocabulary_file_is_id_code_point_and_name(tmp_path: Path) -> None:
    vocabulary("a\n𝄞", ("end", "unk")).save(tmp_path)
    assert (tmp_path / "vocabulary.tsv").read_bytes() == (
        b"0\t-1\t<end>\n1\t-2\t<unk>\n2\t10\tU+000A\n3\t97\tU+0061\n4\t119070\tU+1D11E\n"
    )


def test_vocabulary_missing_file_is_refused_with_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must hold a readable vocabulary\.tsv") as caught:
        Vocabulary.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("content", [b"a\tb\n", b"0\tx\tU+0000\n", b"\xff\n", b"0\t1114112\tU+110000\n"])
def test_vocabulary_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vocabulary.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=r"must hold a readable vocabulary\.tsv"):
        Vocabulary.load(tmp_path)
