"""Byte-pair encoding in the graph: equal to `Bpe`, which is equal to the definition, on any text and any bytes."""

import random

import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.exporter.bpe import GraphBpe
from components.exporter.pieces import join_tokens
from components.transform.bpe import Bpe
from tests.components.exporter.tokenizers_in_graph import Saved, strings, traced
from tests.components.transform.merges import encode_by_definition, random_merges
from tests.components.transform.texts import AWKWARD, TEXTS

# Written by hand: bytes that repeat, a token longer than the others, two bytes of one character, a space in front, and
# pairs that lie in two pieces wherever they occur.
ACROSS = [(0x0A, 0x0A), (0x20, 0x0A), (0x0D, 0x0A), (0x20, 0x20), (0x61, 0x21), (0x21, 0x61), (0x61, 0x20)]
WITHIN = [(0x20, 0x74), (0x68, 0x65), (263, 264), (0x61, 0x61), (266, 266), (0xC3, 0xA9), (0x21, 0x21), (265, 0x6E)]
BPE = Bpe([*ACROSS, *WITHIN])
graph_encode = traced(GraphBpe(BPE).encode)
graph_decode = traced(lambda ids: join_tokens(BPE.tokens, ids), tf.RaggedTensorSpec([None, None], tf.int32))


def rows(bpe: Bpe, raws: list[bytes]) -> list[list[int]]:
    return [bpe.encode_bytes(raw).tolist() for raw in raws]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" then the", [270, 265]),
        ("aaaaaaa", [267, 266, 0x61]),
        ("é!!!", [268, 269, 0x21]),
        ("a a!a \n\n\r\n  a", [*b"a a!a \n\n\r\n  a"]),
    ],
)
def test_encode_joins_as_the_merges_say(text: str, tokens: list[int]) -> None:
    assert graph_encode(strings([text])).to_list() == [tokens]


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5))
@example([])
@example([""])
@example(["", AWKWARD, "", " then", "aaaa aaa", ""])
def test_encode_is_that_of_bpe(texts: list[str]) -> None:
    assert graph_encode(strings(texts)).to_list() == rows(BPE, [text.encode("utf-8") for text in texts])


@settings(deadline=None)
@given(st.lists(st.binary() | st.lists(st.sampled_from(b" theanaa!\xc3\xa9\r\n"), max_size=60).map(bytes), max_size=5))
def test_encode_any_bytes_is_that_of_bpe_and_decodes(raws: list[bytes]) -> None:
    ids = graph_encode(strings(raws))
    assert ids.to_list() == rows(BPE, raws)
    assert graph_decode(ids).numpy().tolist() == raws


@pytest.mark.parametrize("seed", range(12))
def test_encode_any_merges_is_the_definition(seed: int) -> None:
    source = random.Random(seed)
    alphabet = [b"a", b"ab", b"ab", b"abc.", b"abcd "][seed % 5]
    merges = random_merges(alphabet, 4 + 3 * seed, seed)
    raws = [bytes(source.choices(alphabet, k=source.randrange(40))) for _ in range(200)]
    expected = [encode_by_definition(merges, raw) for raw in raws]
    assert sum(map(len, expected)) < 0.9 * sum(map(len, raws)), "few merges: please fix the test"
    assert traced(GraphBpe(Bpe(merges)).encode)(strings(raws)).to_list() == expected


@pytest.mark.parametrize(
    ("alphabet", "longest", "count"), [(b"ab", 3, 9), (b"ab", 5, 30), (b"abc", 4, 50), (b"a", 9, 12)]
)
def test_encode_piece_much_longer_than_any_token_is_the_definition(alphabet: bytes, longest: int, count: int) -> None:
    """Here a pair is merged before lower ones further away than a token is long."""
    merges = random_merges(alphabet, count, seed=0, longest=longest)
    raw = bytes(random.Random(1).choices(alphabet, k=700))
    expected = encode_by_definition(merges, raw)
    graph = GraphBpe(Bpe(merges))
    assert traced(graph.encode)(strings([raw, b"a b", raw[:50]])).to_list()[0] == expected

    graph._longest = 1
    if longest > 2 and len(alphabet) > 1:
        at_any_distance = traced(graph.encode)(strings([raw])).to_list()[0]
        assert at_any_distance != expected, "order does not matter here: please fix the test"


def test_encode_a_long_piece_among_short_ones_is_that_of_bpe() -> None:
    source = random.Random(0)
    short = [bytes(source.choices(b"thean ", k=9)) for _ in range(2000)]
    raws = [b"".join(short), bytes(source.choices(b"thea", k=2000)) + b" the", b"a" * 1999]
    assert graph_encode(strings(raws)).to_list() == rows(BPE, raws)


def test_encode_without_merges_is_the_bytes() -> None:
    assert traced(GraphBpe(Bpe([])).encode)(strings(["é a", ""])).to_list() == [[0xC3, 0xA9, 0x20, 0x61], []]


def test_encode_row_depends_on_nothing_of_its_batch_mates() -> None:
    texts = ["a", "aa", "", " the", "n", "the"]
    together = graph_encode(strings(texts)).to_list()
    assert together == [graph_encode(strings([text])).to_list()[0] for text in texts]
    assert together != [BPE.encode_bytes(b"".join(text.encode() for text in texts)).tolist()]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, len(BPE) - 1), max_size=20), max_size=4))
def test_decode_any_ids_are_the_bytes_of_their_tokens(ids: list[list[int]]) -> None:
    flat = tf.constant([i for row in ids for i in row], tf.int32)
    ragged = tf.RaggedTensor.from_row_lengths(flat, tf.constant([len(row) for row in ids], tf.int64))
    assert graph_decode(ragged).numpy().tolist() == [b"".join(BPE.tokens[i] for i in row) for row in ids]


@pytest.mark.slow
def test_encode_saved_gives_the_same_tokens_in_a_process_with_tensorflow_alone(client, tmp_path) -> None:
    graph = GraphBpe(BPE)
    saved = Saved(graph.encode, tmp_path / "model", client, graph)
    for texts in ([AWKWARD, "", " then " * 40], [], ["aaaaa"]):
        assert saved(texts) == rows(BPE, [text.encode("utf-8") for text in texts])
    assert not {"components", "pipeline"} & saved.imports()
