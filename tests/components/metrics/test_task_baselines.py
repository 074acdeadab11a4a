"""Baselines against counting by hand, and on a real treebank."""

import gzip
from collections import Counter, defaultdict

import numpy as np
import pytest
import sklearn.metrics as sk

from components.metrics.bleu import bleu, bleu_counts
from components.metrics.bootstrap import measure
from components.metrics.classification import accuracy, class_counts, macro_f1
from components.metrics.task_baselines import (
    majority_class,
    mean_value,
    most_frequent_output,
    most_frequent_tags,
    unigram,
)
from tests.real_sets import files_at_hand


def test_majority_class_is_the_most_frequent_for_every_item():
    found = majority_class(np.asarray([2, 0, 2, 1, 2, 1]), 3)

    assert found.tolist() == [2, 2, 2]
    assert majority_class(np.asarray([3, 1, 1, 3]), 1).tolist() == [1]


def test_most_frequent_tags_are_by_word_and_unknown_words_have_the_most_frequent():
    words = ["run", "run", "run", "dog", "the", "the", "dog"]
    tags = np.asarray([1, 0, 1, 0, 2, 2, 0])

    assert most_frequent_tags(words, tags, ["dog", "run", "the", "cat"]).tolist() == [0, 1, 2, 0]


def test_most_frequent_tags_of_equal_frequency_take_the_more_frequent_in_all():
    words = ["run", "run", "a", "b"]
    tags = np.asarray([0, 1, 1, 1])

    assert most_frequent_tags(words, tags, ["run"]).tolist() == [1]
    assert most_frequent_tags(words[:2], tags[:2], ["run"]).tolist() == [0]


def test_most_frequent_output_is_the_first_of_equals():
    assert most_frequent_output(["a dog", "a cat", "a cat", "a dog", "a bird"]) == "a dog"
    assert most_frequent_output([("a",), ("b", "c"), ("b", "c")]) == ("b", "c")


def test_mean_value_keeps_the_shape_of_a_target():
    found = mean_value(np.asarray([[1, 10], [2, 20], [6, 60]], np.float32), 4)

    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[3, 30]] * 4)
    np.testing.assert_array_equal(mean_value(np.asarray([1, 2]), 3), [1.5] * 3)


def test_unigram_counts_every_token_once_more_than_it_occurs():
    np.testing.assert_allclose(unigram(np.asarray([0, 2, 2]), 4), np.asarray([2, 1, 3, 1]) / 7)


def test_copying_the_input_is_what_the_inputs_score():
    inputs, references = ["a b c d e", "f g h i"], [["a b c d x"], ["f g h i"]]

    copied = bleu(bleu_counts(inputs, references).sum(axis=0))

    assert 0 < copied < 100


@pytest.mark.parametrize(
    "call",
    [
        lambda: majority_class(np.zeros(0, int), 2),
        lambda: most_frequent_tags([], np.zeros(0, int), ["a"]),
        lambda: most_frequent_output([]),
        lambda: mean_value(np.zeros((0, 3)), 2),
    ],
)
def test_baseline_of_no_examples_is_refused(call):
    with pytest.raises(ValueError, match=r"must not be empty. Received: no examples"):
        call()


def test_most_frequent_tags_refuses_sentences_in_place_of_words():
    with pytest.raises(ValueError, match=r"most_frequent_tags: .*as many. Received: 1 and 2"):
        most_frequent_tags([("a", "b")], np.asarray([0, 1]), [])


def treebank(path):
    """Words, tags and sentence lengths of a CoNLL-U file."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    rows = [
        [line.split("\t") for line in sentence.splitlines() if line.split("\t")[0].isdecimal()]
        for sentence in text.strip().split("\n\n")
    ]
    return [row[1] for s in rows for row in s], [row[3] for s in rows for row in s], [len(s) for s in rows]


def test_most_frequent_tags_of_a_treebank_are_right_for_most_words():
    (train,), (test,) = (files_at_hand(f"ud_english_ewt/*-{split}.conllu.gz") for split in ("train", "test"))
    (train_words, train_tags, _), (words, tags, lengths) = treebank(train), treebank(test)
    names = sorted(set(train_tags))
    numbers = np.asarray([names.index(tag) for tag in tags])

    found = most_frequent_tags(train_words, np.asarray([names.index(tag) for tag in train_tags]), words)

    by_word = defaultdict(Counter)
    for word, tag in zip(train_words, train_tags, strict=True):
        by_word[word][tag] += 1
    known = [word in by_word for word in words]
    right = [
        by_word[word][names[tag]] == max(by_word[word].values())
        for word, tag in zip(words, found, strict=True)
        if word in by_word
    ]
    assert all(right)
    assert set(found[~np.asarray(known)]) == {names.index(Counter(train_tags).most_common(1)[0][0])}

    counts = class_counts(numbers, found, len(names), np.asarray(lengths))
    share, f1 = measure(counts, accuracy), measure(counts, macro_f1)
    assert share.value == pytest.approx(sk.accuracy_score(numbers, found))
    assert f1.value == pytest.approx(sk.f1_score(numbers, found, average="macro"))
    assert 0.8 < share.low < share.value < share.high < 0.92
    assert f1.low < f1.value < f1.high
