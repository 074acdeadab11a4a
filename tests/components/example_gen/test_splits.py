"""Splits: every character goes to exactly one of them, whole documents where there are enough."""

import hashlib
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen import splits
from components.example_gen.split_names import split_code, split_code_in
from components.example_gen.splits import Part, by_hash, by_position, id_hash, numbered_hashes, same

SHARES = {"train": 0.9, "eval": 0.05, "test": 0.05}
Parts = Mapping[str, Part]


def hashes_of(documents: int) -> np.ndarray:
    return np.array([id_hash(f"document-{i}") for i in range(documents)], np.uint64)


def play_lengths(documents: int) -> np.ndarray:
    return np.array([random.Random(i).randint(50, 200) for i in range(documents)])


def taken(parts: Parts, lengths: np.ndarray) -> dict[str, list[tuple[int, int]]]:
    """(document, character) of every character of each split, in order."""
    found = {}
    for name, part in parts.items():
        chosen = np.flatnonzero(part.chosen).tolist()
        characters = [(document, i) for document in chosen for i in range(lengths[document])]
        found[name] = characters[part.start : part.stop]
    return found


def reference(lengths: list[int], shares: Mapping[str, float]) -> dict[str, list[int]]:
    """The documents of each split by the greedy rule, one document after the other."""
    largest = max(shares, key=lambda name: shares[name])
    free = sorted(range(len(lengths)), key=lambda i: hashlib.sha256(f"document-{i}".encode()).digest())
    chosen = {}
    small = [name for name in shares if name != largest]
    for position, name in enumerate(small):
        spare = len(free) - (len(small) - position)
        room, picked, full = shares[name] * sum(lengths), [], False
        for document in free:
            if lengths[document] > room:
                full = True
            elif len(picked) < spare and (lengths[document] or not full):
                picked.append(document)
                room -= lengths[document]
        written = [document for document in free if lengths[document]] or free
        picked = picked or [min(written, key=lambda document: lengths[document])]
        free = [document for document in free if document not in picked]
        chosen[name] = picked
    chosen[largest] = free
    return {name: sorted(chosen[name]) for name in shares}


@st.composite
def corpora(draw: st.DrawFn, documents: int, shortest: int = 0) -> tuple[np.ndarray, dict[str, float]]:
    lengths = draw(st.lists(st.integers(shortest, 40), min_size=1, max_size=documents))
    weights = draw(st.lists(st.integers(1, 100), min_size=2, max_size=3))
    shares = {name: weight / sum(weights) for name, weight in zip(("train", "eval", "test"), weights, strict=False)}
    return np.array(lengths), shares


def all_characters(lengths: np.ndarray) -> list[tuple[int, int]]:
    return [(document, i) for document, length in enumerate(lengths.tolist()) for i in range(length)]


@given(corpora(documents=30))
@settings(max_examples=300, deadline=None)
def test_by_hash_any_corpus_gives_each_character_to_one_split(corpus: tuple[np.ndarray, dict[str, float]]) -> None:
    lengths, shares = corpus
    parts = taken(by_hash(lengths, hashes_of(len(lengths)), shares), lengths)
    assert sorted(character for part in parts.values() for character in part) == all_characters(lengths)


@given(corpora(documents=40), st.integers(1, 50))
@example((np.array([0, 0, 0, 5, 0]), {"train": 0.5, "eval": 0.25, "test": 0.25}), 2)
@settings(max_examples=300, deadline=None)
def test_by_hash_whole_documents_are_those_of_the_greedy_rule(
    corpus: tuple[np.ndarray, dict[str, float]], chunk: int
) -> None:
    lengths, shares = corpus
    if len(lengths) < len(shares):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "_CHUNK", chunk)
        parts = by_hash(lengths, hashes_of(len(lengths)), shares)
    found = {name: np.flatnonzero(part.chosen).tolist() for name, part in parts.items()}
    assert found == reference(lengths.tolist(), shares)


@pytest.mark.parametrize("divide", [lambda c, s: by_hash(c, hashes_of(len(c)), s), by_position])
@given(corpus=corpora(documents=2))
@settings(max_examples=100, deadline=None)
def test_divide_too_few_documents_keeps_the_order_of_the_text(divide, corpus) -> None:
    lengths, _ = corpus
    parts = taken(divide(lengths, SHARES), lengths)
    assert [character for name in SHARES for character in parts[name]] == all_characters(lengths)


@pytest.mark.parametrize("documents", [3, 4, 38, 200])
def test_by_hash_enough_documents_stay_whole_and_no_split_is_empty(documents: int) -> None:
    parts = by_hash(play_lengths(documents), hashes_of(documents), SHARES)
    assert sum(part.chosen.astype(int) for part in parts.values()).tolist() == [1] * documents
    assert all((part.start, part.stop) == (0, None) and part.chosen.any() for part in parts.values())


def test_by_hash_one_huge_document_no_split_is_empty() -> None:
    parts = by_hash(np.array([10_000, 10, 1]), hashes_of(3), SHARES)
    assert parts["train"].chosen.tolist() == [True, False, False]


def test_by_hash_many_documents_have_the_shares_asked_for() -> None:
    lengths = play_lengths(2000)
    shares = {"train": 0.7, "eval": 0.2, "test": 0.1}
    for name, part in by_hash(lengths, hashes_of(2000), shares).items():
        assert part.characters(lengths) / lengths.sum() == pytest.approx(shares[name], abs=0.002)


def test_by_hash_eval_documents_are_not_neighbours_in_the_corpus() -> None:
    # The last plays of an alphabet, or of a life, are no fair sample.
    chosen = np.flatnonzero(by_hash(np.full(100, 10), hashes_of(100), SHARES)["eval"].chosen)
    assert len(chosen) == 5
    assert np.ptp(chosen) > 10


def test_by_hash_empty_documents_do_not_gather_in_one_split() -> None:
    lengths = play_lengths(4000) * np.arange(4000).astype(bool) * (np.arange(4000) % 2)
    empty = lengths == 0
    part = by_hash(lengths, hashes_of(4000), SHARES)["eval"]
    assert (part.chosen & empty).sum() / empty.sum() == pytest.approx(0.05, abs=0.015)


def test_by_hash_single_document_is_cut_contiguously() -> None:
    parts = by_hash(np.array([100]), hashes_of(1), SHARES)
    assert {name: (part.start, part.stop) for name, part in parts.items()} == {
        "train": (0, 90),
        "eval": (90, 95),
        "test": (95, 100),
    }


def test_by_hash_two_documents_for_three_splits_are_cut_at_the_shares() -> None:
    parts = by_hash(np.array([30, 70]), hashes_of(2), {"train": 0.5, "eval": 0.25, "test": 0.25})
    assert {name: (part.chosen.tolist(), part.start, part.stop) for name, part in parts.items()} == {
        "train": ([True, True], 0, 50),
        "eval": ([False, True], 20, 45),
        "test": ([False, True], 45, 70),
    }


def test_by_hash_share_of_zero_is_left_out() -> None:
    assert list(by_hash(np.array([50, 50]), hashes_of(2), {"train": 0.5, "eval": 0.5, "test": 0.0})) == [
        "train",
        "eval",
    ]


def test_by_hash_another_process_gives_the_same() -> None:
    lengths = play_lengths(40)
    code = (
        "import numpy as np; from components.example_gen.splits import by_hash, id_hash; "
        "hashes = np.array([id_hash(f'document-{i}') for i in range(40)], np.uint64); "
        f"print(by_hash(np.array({lengths.tolist()}), hashes, {SHARES!r})['eval'].chosen.tolist())"
    )
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
    assert answers == {str(by_hash(lengths, hashes_of(40), SHARES)["eval"].chosen.tolist())}


@given(corpora(documents=30, shortest=1))
@settings(max_examples=200, deadline=None)
def test_by_position_pieces_are_contiguous_and_whole(corpus: tuple[np.ndarray, dict[str, float]]) -> None:
    lengths, shares = corpus
    for can_cut in (False, True):
        divided = by_position(lengths, shares, can_cut)
        parts = taken(divided, lengths)
        assert [character for part in parts.values() for character in part] == all_characters(lengths)
        assert all(parts.values()) or len(lengths) < len(shares)
        if not can_cut and len(lengths) >= len(shares):
            assert all(part.stop is None for part in divided.values())


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([100] * 40, [3600, 200, 200]),  # two documents each
        ([100] * 20, [1800, 100, 100]),
        ([200] * 3, [540, 30, 30]),  # cut: whole ones would be a third each
        ([120, 200, 300_000], [270_288, 15_016, 15_016]),
        ([1, 1, 1000, 1], [903, 50, 50]),
        ([1, 1, 1], [1, 1, 1]),  # no share has a character of its own
    ],
)
def test_by_position_texts_are_cut_where_whole_ones_are_far_from_the_shares(
    lengths: list[int], sizes: list[int]
) -> None:
    parts = by_position(np.array(lengths), SHARES)
    found = [part.characters(np.array(lengths)) for part in parts.values()]
    assert found == sizes
    assert sum(found) == sum(lengths)


def test_by_position_borders_lie_where_documents_meet() -> None:
    parts = by_position(np.array([40, 45, 10, 5]), {"train": 0.5, "eval": 0.4, "test": 0.1}, can_cut=True)
    assert [part.chosen.tolist() for part in parts.values()] == [
        [True, False, False, False],  # 40 is nearer to 50 than 85
        [False, True, True, False],  # 85 and 95 are as near to 90
        [False, False, False, True],
    ]


def test_same_every_split_is_the_whole_corpus() -> None:
    parts = same(2)
    assert list(parts) == ["train", "eval", "test"]
    assert all(part.chosen.tolist() == [True, True] for part in parts.values())


def test_given_splits_are_those_of_the_source() -> None:
    parts = splits.given(np.full(4, 10), hashes_of(4), np.array([0, 1, 0, 2], np.int8))
    assert {name: np.flatnonzero(part.chosen).tolist() for name, part in parts.items()} == {
        "train": [0, 2],
        "eval": [1],
        "test": [3],
    }


def test_given_without_eval_takes_it_from_train() -> None:
    codes = np.array([0, 2] * 100, np.int8)
    parts = splits.given(np.full(200, 10), hashes_of(200), codes)
    assert parts["test"].chosen.tolist() == (codes == 2).tolist()
    assert (parts["train"].chosen | parts["eval"].chosen).tolist() == (codes == 0).tolist()
    assert parts["eval"].chosen.sum() == 5


def test_given_without_train_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have a train split\. Received: eval\. "):
        splits.given(np.full(2, 10), hashes_of(2), np.array([1, 1], np.int8))


def test_part_among_is_the_same_part_of_more_documents() -> None:
    part = Part(np.array([True, False]), 3, 7).among(np.array([False, True, False, True]))
    assert (part.chosen.tolist(), part.start, part.stop) == ([False, True, False, False], 3, 7)


def test_numbered_hashes_differ_between_files_and_numbers_and_are_spread() -> None:
    numbers = np.arange(1, 100_001)
    both = np.concatenate([numbered_hashes("a.txt", numbers), numbered_hashes("b.txt", numbers)])
    assert len(np.unique(both)) == 200_000
    # Each of 16 equal ranges of hashes has its share: 12,500, give or take five standard deviations.
    counts = np.bincount((both >> np.uint64(60)).astype(int))
    assert np.abs(counts - 12_500).max() < 5 * np.sqrt(12_500)
    assert numbered_hashes("a.txt", numbers[7:9]).tolist() == both[7:9].tolist()


@pytest.mark.parametrize(
    ("name", "code"),
    [("train", 0), ("Validation", 1), ("dev", 1), ("test", 2), ("unsupervised", None), ("trains", None)],
)
def test_split_code_of_a_name(name: str, code: int | None) -> None:
    assert split_code(name) == code


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("train/a.txt", 0),
        ("val.en.gz", 1),
        ("test_2016_flickr.en.gz", 2),
        ("part-00001-of-dev.jsonl", 1),
        ("train/test_pilot.txt", 0),
        ("latest/contested.txt", None),
    ],
)
def test_split_code_in_a_file_name(file: str, code: int | None) -> None:
    assert split_code_in(file) == code
