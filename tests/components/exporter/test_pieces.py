"""Bytes and words in the graph: equal to Python's, for any text and any bytes."""

import itertools

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.exporter.pieces import TokenTable, join_tokens, join_words, split_bytes, split_words
from components.transform import words
from tests.components.exporter.tokenizers_in_graph import Saved, strings, traced
from tests.components.transform.texts import AWKWARD, TEXTS

BATCHES = st.lists(TEXTS, max_size=5)

graph_split_bytes = traced(split_bytes)
graph_bytes_there_and_back = traced(
    lambda text: join_tokens([bytes([value]) for value in range(256)], split_bytes(text))
)
graph_split_words = traced(split_words)
graph_join_words = traced(join_words, tf.RaggedTensorSpec([None, None], tf.string))


def python_words(texts: list[str]) -> list[list[bytes]]:
    return [[word.encode("utf-8") for word in words.split_words(text)] for text in texts]


@settings(deadline=None)
@given(BATCHES)
@example([])
@example([""])
@example(["", AWKWARD, "", "é\x00"])
def test_split_bytes_is_utf_8(texts: list[str]) -> None:
    assert graph_split_bytes(strings(texts)).to_list() == [list(text.encode("utf-8")) for text in texts]


@settings(deadline=None)
@given(st.lists(st.binary(), max_size=5))
@example([b"\xff\xfe\x00", b"", bytes(range(256))])
def test_join_tokens_of_split_bytes_is_the_bytes(rows: list[bytes]) -> None:
    assert graph_bytes_there_and_back(strings(rows)).numpy().tolist() == rows


def test_join_tokens_writes_each_id_as_its_bytes() -> None:
    ids = tf.ragged.constant([[2, 0, 2], [], [1]], tf.int32)
    assert join_tokens([b"\x00", b"\xc3", b"ab"], ids).numpy().tolist() == [b"ab\x00ab", b"", b"\xc3"]


@settings(deadline=None)
@given(BATCHES)
@example([])
@example([""])
@example([" ", AWKWARD, "\n", "a\x85b c\u2028d\xa0e\r\nf"])
def test_split_words_is_pythons(texts: list[str]) -> None:
    assert graph_split_words(strings(texts)).to_list() == python_words(texts)


def test_split_words_keeps_bytes_that_are_no_utf_8() -> None:
    assert graph_split_words(strings([b"\xff\xc3 \x80\n\xc3"])).to_list() == [[b"\xff\xc3", b"\x80", b"\n", b"\xc3"]]


@settings(deadline=None)
@given(BATCHES)
@example([])
@example(["\n\n\n", "a \n b \n\n\n c", "", "\na", "a\n"])
def test_join_words_is_pythons(texts: list[str]) -> None:
    rows = [words.split_words(text) for text in texts]
    flat = strings(list(itertools.chain.from_iterable(rows)))
    ragged = tf.RaggedTensor.from_row_lengths(flat, tf.constant([len(row) for row in rows], tf.int64))
    assert graph_join_words(ragged).numpy().tolist() == [words.join_words(row).encode("utf-8") for row in rows]


def test_token_table_unknown_word_is_outside() -> None:
    table = TokenTable({b"\n": 7, "naïve\xa0a".encode(): 5}, 1)
    assert table.lookup(strings(["naïve\xa0a", "naïve", "\n", ""])).numpy().tolist() == [5, 1, 7, 1]


def test_token_table_without_words_knows_none() -> None:
    assert TokenTable({}, 3).lookup(strings(["a", ""])).numpy().tolist() == [3, 3]


@pytest.mark.parametrize("texts", [["a b\n", "", AWKWARD, " a \n\nc\x85"], ["a"], []])
def test_words_saved_give_the_same_ids_in_a_process_with_tensorflow_alone(client, tmp_path, texts: list[str]) -> None:
    known = {b"a": 4, b"\n": 3, b"c\xc2\x85": 9}
    table = TokenTable(known, 1)

    def encode(text):
        rows = split_words(text)
        return rows.with_flat_values(table.lookup(rows.flat_values))

    saved = Saved(encode, tmp_path / "model", client, table)
    assert saved(texts) == [[known.get(word, 1) for word in row] for row in python_words(texts)]
    assert not {"components", "pipeline"} & saved.imports()


def test_bytes_saved_are_the_same_in_a_process_with_tensorflow_alone(client, tmp_path) -> None:
    rows = [AWKWARD.encode("utf-8"), b"", b"\xff\x00"]
    assert Saved(split_bytes, tmp_path / "model", client)(rows) == [list(row) for row in rows]
