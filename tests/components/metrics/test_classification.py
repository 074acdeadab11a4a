"""Figures of classes against scikit-learn, and against a table worked by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from components.metrics.bootstrap import interval
from components.metrics.classification import (
    accuracy,
    class_counts,
    class_figures,
    confused_pairs,
    confusion_matrix,
    macro_f1,
)

CLASSES = 7


def predictions_of(seed, items=400, classes=(0, 1, 2, 4, 5)):
    """Labels and predictions, unevenly distributed; class 3 is only predicted, class 6 is absent."""
    random = np.random.default_rng(seed)
    labels = random.choice(classes, items, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    guesses = random.choice([0, 1, 2, 3, 4, 5], items)
    return labels, np.where(random.random(items) < 0.6, labels, guesses)


def total(labels, predictions, **arguments):
    return class_counts(labels, predictions, CLASSES, **arguments).sum(axis=0)


def test_accuracy_and_macro_f1_are_those_of_scikit_learn():
    labels, predictions = predictions_of(0)

    assert accuracy(total(labels, predictions)) == pytest.approx(sk.accuracy_score(labels, predictions))
    # Its default labels are those that occur or are predicted, which is our rule.
    assert macro_f1(total(labels, predictions)) == pytest.approx(sk.f1_score(labels, predictions, average="macro"))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_macro_f1_of_any_predictions_is_that_of_scikit_learn(pairs):
    labels, predictions = np.asarray(pairs).T

    expected = sk.f1_score(labels, predictions, average="macro", zero_division=0)

    assert macro_f1(total(labels, predictions)) == pytest.approx(expected)


def test_macro_f1_leaves_out_absent_classes_and_counts_those_only_predicted():
    labels, predictions = np.asarray([0, 0, 1, 1]), np.asarray([0, 0, 1, 2])

    # F1: class 0 is 1, class 1 is 2 · 1 / (2 + 1), class 2 is 0.
    assert macro_f1(total(labels, predictions)) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_macro_f1_and_accuracy_of_no_items_are_nan():
    assert np.isnan(macro_f1(np.zeros((3, 4))))
    assert np.isnan(accuracy(np.zeros((3, 4))))


def test_class_counts_are_of_examples_of_the_given_lengths():
    labels, predictions = predictions_of(1, items=12)
    lengths = np.asarray([3, 0, 5, 4])

    counts = class_counts(labels, predictions, CLASSES, lengths)

    assert counts.shape == (4, 3, CLASSES)
    for example, chosen in enumerate((slice(0, 3), slice(0, 0), slice(3, 8), slice(8, 12))):
        matrix = sk.confusion_matrix(labels[chosen], predictions[chosen], labels=range(CLASSES)) if example != 1 else 0
        expected = np.zeros((3, CLASSES)) if example == 1 else [np.diag(matrix), matrix.sum(0), matrix.sum(1)]
        np.testing.assert_array_equal(counts[example], expected)


def test_macro_f1_of_resamples_is_that_of_resampled_labels():
    labels, predictions = predictions_of(2, items=60)
    lengths = np.full(12, 5)
    counts = class_counts(labels, predictions, CLASSES, lengths)
    drawn = np.random.default_rng(3).integers(12, size=(20, 12))

    found = macro_f1(counts[drawn].sum(axis=1))

    items = (drawn[:, :, None] * 5 + np.arange(5)).reshape(20, -1)
    expected = [sk.f1_score(labels[i], predictions[i], average="macro") for i in items]
    np.testing.assert_allclose(found, expected)
    assert len(set(expected)) > 10
    low, high = interval(counts, macro_f1)
    assert min(expected) < low < high < max(expected) + 0.05


def test_confusion_matrix_has_true_classes_as_rows():
    labels, predictions = predictions_of(4)
    expected = sk.confusion_matrix(labels, predictions, labels=range(CLASSES))
    assert (expected != expected.T).any()

    np.testing.assert_array_equal(confusion_matrix(labels, predictions, CLASSES), expected)


def test_class_figures_are_those_of_scikit_learn_with_nan_for_what_is_undefined():
    labels, predictions = predictions_of(5)

    figures = class_figures(confusion_matrix(labels, predictions, CLASSES))

    expected = sk.precision_recall_fscore_support(labels, predictions, labels=range(CLASSES), zero_division=np.nan)
    np.testing.assert_allclose(figures.precision, expected[0])
    np.testing.assert_allclose(figures.recall, expected[1])
    np.testing.assert_array_equal(figures.support, expected[3])
    np.testing.assert_array_equal(figures.predicted, np.bincount(predictions, minlength=CLASSES))
    np.testing.assert_allclose(figures.f1[:6], sk.f1_score(labels, predictions, average=None))
    assert np.isnan(figures.recall[3])
    assert figures.f1[3] == 0
    assert np.isnan([figures.precision[6], figures.recall[6], figures.f1[6]]).all()


def test_confused_pairs_are_the_most_frequent_mistakes_first():
    matrix = np.asarray([[50, 3, 0], [9, 70, 1], [3, 0, 2]])

    assert confused_pairs(matrix) == [(1, 0, 9), (0, 1, 3), (2, 0, 3), (1, 2, 1)]
    assert confused_pairs(matrix, limit=2) == [(1, 0, 9), (0, 1, 3)]


def test_confused_pairs_without_mistakes_is_empty():
    assert confused_pairs(np.diag([3, 4])) == []


@pytest.mark.parametrize(
    ("labels", "predictions", "error", "message"),
    [
        ([[0, 1]], [[0, 1]], ValueError, r"flat and as many. Received: shapes \(1, 2\) and \(1, 2\)"),
        ([0, 1], [0, 1, 1], ValueError, r"Received: shapes \(2,\) and \(3,\)"),
        ([0.0, 1.0], [0, 1], TypeError, "labels must be integers. Received: labels of dtype float64"),
        ([0, 1], [-1, 1], ValueError, r"predictions must be in \[0, 3\). Received: predictions from -1 to 1"),
        ([0, 3], [0, 1], ValueError, r"labels must be in \[0, 3\). Received: labels from 0 to 3"),
    ],
)
@pytest.mark.parametrize("function", [class_counts, confusion_matrix])
def test_counting_refuses_what_are_no_classes(function, labels, predictions, error, message):
    with pytest.raises(error, match=f"{function.__name__}: .*{message}"):
        function(np.asarray(labels), np.asarray(predictions), 3)


def test_class_counts_refuses_lengths_that_count_padding():
    with pytest.raises(ValueError, match=r"must sum to the number of labels\. Received: .* sum to 4, 3"):
        class_counts(np.asarray([0, 1, 1]), np.asarray([0, 1, 1]), 2, np.asarray([2, 2]))
