"""Figures of sequences against a naive recursion and against counting by hand."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.metrics.bootstrap import ratio
from components.metrics.sequences import (
    closest_references,
    error_counts,
    exact_matches,
    length_counts,
    token_counts,
)

PHONES = st.lists(st.sampled_from(["AH0", "B", "", "bb"]), max_size=6)


def edit_distance(a, b):
    """By its definition: the last symbols are equal, or one of them was deleted, inserted or substituted."""

    @functools.cache
    def between(i, j):
        if not i or not j:
            return i + j
        if a[i - 1] == b[j - 1]:
            return between(i - 1, j - 1)
        return 1 + min(between(i - 1, j), between(i, j - 1), between(i - 1, j - 1))

    return between(len(a), len(b))


@given(PHONES, st.lists(PHONES, min_size=1, max_size=3))
def test_error_counts_are_the_distance_to_the_closest_reference_and_its_length(made, references):
    expected = min((edit_distance(made, reference), len(reference)) for reference in references)

    assert error_counts([made], [references]).tolist() == [list(expected)]


@given(st.lists(st.integers(-3, 3), max_size=6), st.lists(st.integers(-3, 3), max_size=6))
def test_error_counts_of_token_ids_in_arrays_are_those_of_lists(made, reference):
    """Ids include -1 and -2, which Python hashes alike."""
    found = error_counts([np.asarray(made, np.int32)], [[np.asarray(reference, np.int64)]])

    assert found.tolist() == [[edit_distance(made, reference), len(reference)]]


def test_error_counts_of_words_worked_by_hand():
    found = error_counts(
        ["kitten", "flaw", "", "same"],
        [["sitting"], ["lawn", "flow"], ["abc", "ab"], ["same", "samey"]],
    )

    assert found.tolist() == [[3, 7], [1, 4], [2, 2], [0, 4]]
    assert ratio(found.sum(axis=0)) == pytest.approx(6 / 17)


def test_error_counts_of_equally_close_references_take_the_shortest_in_any_order():
    assert error_counts(["abc"] * 2, [["abcd", "ab"], ["ab", "abcd"]]).tolist() == [[1, 2], [1, 2]]


@given(PHONES, st.lists(PHONES, min_size=1, max_size=3))
def test_closest_references_are_those_that_errors_are_counted_against(made, references):
    (closest,) = closest_references([made], [references])

    assert closest in references
    assert error_counts([made], [[closest]]).tolist() == error_counts([made], [references]).tolist()


def test_closest_references_equally_close_and_long_are_those_with_fewest_tokens_in_place_in_any_order():
    near, far = list("abcx"), list("xabc")  # both three of the four, in another place each
    written = list("abc")
    assert edit_distance(tuple(written), tuple(near)) == edit_distance(tuple(written), tuple(far))  # guard

    assert closest_references([written] * 2, [[near, far], [far, near]]) == [far, far]


def test_exact_matches_accepts_any_reference():
    generated = [["K", "AE1", "T"], ["D"], ["D", "AO1"], []]
    references = [[["K", "AE1", "T"], ["X"]], [["X"], ["D"]], [["D"], ["D", "AO1", "G"]], [["D"], []]]

    assert exact_matches(generated, references).tolist() == [[1, 1], [1, 1], [0, 1], [1, 1]]


def test_exact_matches_of_texts_and_arrays_is_by_content():
    assert exact_matches(["a b", "a  b"], [["a b"], ["a b"]])[:, 0].tolist() == [1, 0]
    assert exact_matches([np.asarray([1, 2])], [[[1, 2, 3], (1, 2)]])[:, 0].tolist() == [1]


def test_token_counts_compare_position_by_position_and_count_what_is_missing():
    generated = [["a", "b", "c"], ["a"], ["b", "a", "c", "c"], []]
    targets = [["a", "x", "c"], ["a", "b"], ["a", "a"], ["z"]]

    counts = token_counts(generated, targets)

    assert counts.tolist() == [[2, 3], [1, 2], [1, 2], [0, 1]]
    assert ratio(counts.sum(axis=0)) == 0.5


def test_token_counts_weigh_tokens_not_sentences():
    counts = token_counts([[1] * 9, [2]], [[1] * 9, [1]])

    assert ratio(counts.sum(axis=0)) == 0.9
    assert ratio(counts).mean() == 0.5


def test_length_counts_have_sign_size_and_hits():
    counts = length_counts(np.asarray([5, 2, 7, 3]), np.asarray([3, 3, 7, 7]))

    assert {name: float(ratio(pairs.sum(axis=0))) for name, pairs in counts.items()} == {
        "mean_absolute_length_error": 7 / 4,
        "mean_signed_length_error": -3 / 4,
        "exact_length_rate": 1 / 4,
    }
    assert all(pairs.shape == (4, 2) for pairs in counts.values())


def test_length_counts_of_unsigned_lengths_can_be_too_short():
    counts = length_counts(np.asarray([1], np.uint8), np.asarray([3], np.uint8))

    assert counts["mean_signed_length_error"].tolist() == [[-2, 1]]


@pytest.mark.parametrize("function", [exact_matches, error_counts, closest_references])
@pytest.mark.parametrize(
    ("generated", "references", "error", "message"),
    [
        (["a", "b"], [["a"]], ValueError, "generated and references must be as many. Received: 2 and 1"),
        (["a", "b"], [["a"], []], ValueError, "at least one sequence for each example. Received: none for 'b'"),
        (["ab"], ["ab"], TypeError, "must be a list for each example.*Put a single reference into a list"),
        ([["a", "b"]], [["a", "b"]], TypeError, "must be a list for each example"),
        (["a b"], [[["a", "b"]]], TypeError, "text where the generated one is text"),
    ],
)
def test_references_of_the_wrong_kind_are_refused(function, generated, references, error, message):
    with pytest.raises(error, match=f"{function.__name__}: .*{message}"):
        function(generated, references)


@pytest.mark.parametrize("function", [token_counts, length_counts])
def test_targets_that_are_not_as_many_are_refused(function):
    with pytest.raises(
        ValueError, match=f"{function.__name__}: generated and targets must be as many. Received: 1 and 2"
    ):
        function([[1]], [[1], [2]])
