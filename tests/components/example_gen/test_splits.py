"""Splits: every character goes to exactly one of them, whole documents where there are enough."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen.splits import Piece, same, split

SHARES = {"train": 0.9, "eval": 0.05, "test": 0.05}


def play_lengths(documents: int) -> dict[str, int]:
    return {f"play-{i}": random.Random(i).randint(50, 200) for i in range(documents)}


@st.composite
def corpora(draw: st.DrawFn, documents: int) -> tuple[dict[str, int], dict[str, float]]:
    lengths = draw(st.dictionaries(st.text(max_size=4), st.integers(1, 40), min_size=1, max_size=documents))
    weights = draw(st.lists(st.integers(1, 100), min_size=2, max_size=3))
    shares = {name: weight / sum(weights) for name, weight in zip(("train", "eval", "test"), weights, strict=False)}
    return lengths, shares


@given(corpora(documents=9))
@settings(max_examples=200, deadline=None)
def test_split_any_corpus_gives_each_character_to_one_split(corpus: tuple[dict[str, int], dict[str, float]]) -> None:
    lengths, shares = corpus
    given_away = Counter(
        (piece.id, position)
        for pieces in split(lengths, shares).values()
        for piece in pieces
        for position in range(piece.start, piece.stop)
    )
    assert given_away == Counter({(name, i): 1 for name, length in lengths.items() for i in range(length)})


@given(corpora(documents=2))
@settings(max_examples=100, deadline=None)
def test_split_too_few_documents_keeps_the_order_of_the_text(corpus: tuple[dict[str, int], dict[str, float]]) -> None:
    lengths, _ = corpus
    pieces = [
        (piece.id, position)
        for name in SHARES
        for piece in split(lengths, SHARES)[name]
        for position in range(piece.start, piece.stop)
    ]
    assert pieces == [(name, i) for name, length in lengths.items() for i in range(length)]


@pytest.mark.parametrize("documents", [3, 4, 38, 200])
def test_split_enough_documents_stay_whole(documents: int) -> None:
    lengths = play_lengths(documents)
    pieces = [piece for part in split(lengths, SHARES).values() for piece in part]
    assert sorted(piece.id for piece in pieces) == sorted(lengths)
    assert all((piece.start, piece.stop) == (0, lengths[piece.id]) for piece in pieces)


@pytest.mark.parametrize("documents", [3, 4, 38])
def test_split_enough_documents_no_split_is_empty(documents: int) -> None:
    assert all(split(play_lengths(documents), SHARES)[name] for name in SHARES)


def test_split_one_huge_document_no_split_is_empty() -> None:
    parts = split({"huge": 10_000, "small": 10, "tiny": 1}, SHARES)
    assert parts["train"] == [Piece("huge", 0, 10_000)]
    assert sorted(piece.id for piece in parts["eval"] + parts["test"]) == ["small", "tiny"]


def test_split_many_documents_have_the_shares_asked_for() -> None:
    lengths = play_lengths(2000)
    shares = {"train": 0.7, "eval": 0.2, "test": 0.1}
    parts = split(lengths, shares)
    for name, share in shares.items():
        characters = sum(piece.stop for piece in parts[name])
        assert characters / sum(lengths.values()) == pytest.approx(share, abs=0.002)


def test_split_whole_documents_are_in_the_order_of_the_corpus() -> None:
    lengths = play_lengths(60)
    for pieces in split(lengths, {"train": 0.5, "eval": 0.3, "test": 0.2}).values():
        order = [list(lengths).index(piece.id) for piece in pieces]
        assert order == sorted(order)
        assert len(order) > 1


def test_split_eval_documents_are_not_neighbours_in_the_corpus() -> None:
    # The last plays of an alphabet, or of a life, are no fair sample.
    lengths = dict.fromkeys((f"{i:03}" for i in range(100)), 10)
    chosen = [int(piece.id) for piece in split(lengths, SHARES)["eval"]]
    assert len(chosen) == 5
    assert max(chosen) - min(chosen) > 10


def test_split_single_document_is_cut_contiguously() -> None:
    assert split({"only": 100}, SHARES) == {
        "train": [Piece("only", 0, 90)],
        "eval": [Piece("only", 90, 95)],
        "test": [Piece("only", 95, 100)],
    }


def test_split_two_documents_for_three_splits_are_cut_at_the_shares() -> None:
    assert split({"a": 30, "b": 70}, {"train": 0.5, "eval": 0.25, "test": 0.25}) == {
        "train": [Piece("a", 0, 30), Piece("b", 0, 20)],
        "eval": [Piece("b", 20, 45)],
        "test": [Piece("b", 45, 70)],
    }


def test_split_share_of_zero_is_left_out() -> None:
    parts = split({"a": 50, "b": 50}, {"train": 0.5, "eval": 0.5, "test": 0.0})
    assert list(parts) == ["train", "eval"]


@pytest.mark.parametrize("documents", [1, 2, 40])
def test_split_another_process_gives_the_same(documents: int) -> None:
    lengths = play_lengths(documents)
    code = f"from components.example_gen.splits import split; print(split({lengths!r}, {SHARES!r}))"
    answers = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parents[3],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert answers == {str(split(lengths, SHARES))}


def test_same_every_split_is_the_whole_corpus() -> None:
    whole = [Piece("a", 0, 3), Piece("b", 0, 5)]
    assert same({"a": 3, "b": 5}, ["train", "eval", "test"]) == {"train": whole, "eval": whole, "test": whole}
