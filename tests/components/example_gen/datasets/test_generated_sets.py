"""Data sets that are made: what they hold, that they are always the same, and that test is what it should be."""

from pathlib import Path

import numpy as np
import pytest

from components.example_gen.datasets.order import LONGEST
from components.example_gen.datasets.registry import find
from tests.components.example_gen.corpora import everything, fields, generate
from tests.components.example_gen.datasets.samples import read


def test_adding_values_are_the_sums_of_the_marked_numbers(tmp_path: Path) -> None:
    good, bad = read("adding?timesteps=7&count=40&seed=3", tmp_path)
    assert bad == []
    assert [known["split"] for known in good] == ["train"] * 40 + ["eval"] * 4 + ["test"] * 4
    for known in good:
        numbers, marks = known["array"].T
        (first, second) = np.flatnonzero(marks)
        assert first < 3 <= second
        assert set(marks) == {0, 1}
        assert known["value"] == float(numbers[first]) + float(numbers[second])
        assert ((numbers >= 0) & (numbers < 1)).all()
    assert len({known["value"] for known in good}) == 48


def test_adding_other_options_are_other_documents_and_more_are_the_same_first(tmp_path: Path) -> None:
    few, _ = read("adding?timesteps=7&count=10", tmp_path)
    many, _ = read("adding?timesteps=7&count=20", tmp_path)
    other, _ = read("adding?timesteps=7&count=10&seed=1", tmp_path)
    assert [known["value"] for known in many[:10]] == [known["value"] for known in few[:10]]
    assert [known["value"] for known in other] != [known["value"] for known in few]
    assert find("adding").features["array"].shape == (50, 2)


def test_order_test_has_unseen_positions_and_lengths_and_no_unseen_word(tmp_path: Path) -> None:
    good, bad = read("order?count=3000", tmp_path)
    assert bad == []
    words = {split: [k["text"].split(" ") for k in good if k["split"] == split] for split in ("train", "eval", "test")}
    labels = {split: {k["label"] for k in good if k["split"] == split} for split in words}
    assert all(known["label"] in known["text"].split(" ") for known in good)
    assert {split: len(found) for split, found in words.items()} == {"train": 3000, "eval": 300, "test": 300}
    assert labels["test"] <= labels["eval"] | labels["train"] == {str(year) for year in range(2000, 2020)}
    places = {
        split: {position for sentence in found for position, word in enumerate(sentence) if word in labels["train"]}
        for split, found in words.items()
    }
    assert len(places["train"]) > 5  # guard: the year stands in many places
    assert places["eval"] <= places["train"]
    assert not places["test"] & places["train"]
    assert max(map(len, words["train"])) <= LONGEST < min(map(len, words["test"]))
    known_words = {word for sentence in words["train"] for word in sentence}
    assert {word for sentence in words["test"] for word in sentence} <= known_words
    sentences = {" ".join(sentence) for sentence in words["train"]}
    assert any(sentence.startswith("in 20") for sentence in sentences)
    assert any(sentence.split(" ")[-2] in labels["train"] for sentence in sentences)


def test_generated_sets_are_divided_into_the_given_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = generate(tmp_path / "out", "dataset:order?count=20", "given")
    assert [len(fields(examples, split)) for split in ("train", "eval", "test")] == [20, 2, 2]
    monkeypatch.setattr("components.example_gen.datasets.interface._GENERATED_AT_A_TIME", 7)
    assert everything(generate(tmp_path / "other", "dataset:order?count=20", "given")) == everything(examples)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnist", "a data set must be one of"),
        ("order?count=0", "the option count must be an integer of at least 1"),
        ("order?count=", "the option count must be an integer of at least 1"),
        ("adding?timesteps=1", "the option timesteps must be an integer of at least 2"),
        ("adding?steps=7", "an option of adding must be one of timesteps, count, seed"),
        ("mnist_small?count=7", "a data set in files must have no options"),
    ],
)
def test_find_wrong_names_and_options_are_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find(name)
