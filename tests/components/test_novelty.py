"""The longest span that a text copied."""

import numpy as np
import pytest

from components.novelty import Corpus


def longest_shared(corpus, text):
    """By trying all spans."""
    lengths = [
        length
        for start in range(len(text))
        for length in range(1, len(text) - start + 1)
        if text[start : start + length] in corpus
    ]
    return max(lengths, default=0)


@pytest.mark.parametrize("letters", ["ab", "abcdefgh", "aé🙂\n"])
def test_longest_copy_equals_trying_all_spans(letters):
    random = np.random.default_rng(len(letters))
    for size in (1, 5, 60, 300):
        corpus = "".join(random.choice(list(letters), size))
        for count in (1, 7, 40):
            text = "".join(random.choice([*letters, "z"], count))

            copied = Corpus({"corpus": corpus}).longest_copy(text)

            assert len(copied.span) == longest_shared(corpus, text)
            assert copied.span in corpus
            assert copied.span in text


def test_longest_copy_names_source_and_line_of_the_first_place():
    corpus = Corpus({"one": "to be\nor not", "two": "is\n\nthe question; the"})

    copied = corpus.longest_copy("what is the question")

    assert (copied.span, copied.source, copied.line) == ("the question", "two", 3)


def test_longest_copy_does_not_go_from_one_source_to_the_next():
    copied = Corpus({"one": "abcd", "two": "efghij"}).longest_copy("abcdefghij")

    assert (copied.span, copied.source) == ("efghij", "two")


@pytest.mark.parametrize("text", ["", "xyz"])
def test_longest_copy_of_what_shares_nothing_is_empty(text):
    copied = Corpus({"one": "abc"}).longest_copy(text)

    assert (copied.span, copied.source, copied.line) == ("", "", 0)
