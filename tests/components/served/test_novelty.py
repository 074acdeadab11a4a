"""The longest span that a text copied."""

import numpy as np
import pytest

from components.served.novelty import Corpus
from components.transform.text_options import TextOptions
from components.transform.tokenizers import IDENTITY, CharTokenizer, WordTokenizer

CHARACTERS = CharTokenizer(("end",), IDENTITY, "ab")


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

            copied = Corpus({"corpus": corpus}, CHARACTERS).longest_copy(text)

            assert len(copied.span) == longest_shared(corpus, text)
            assert copied.span in corpus
            assert copied.span in text


def test_longest_copy_names_source_and_line_of_the_first_place():
    corpus = Corpus({"one": "to be\nor not", "two": "is\n\nthe question; the"}, CHARACTERS)

    copied = corpus.longest_copy("what is the question")

    assert (copied.span, copied.source, copied.line) == ("the question", "two", 3)


def test_longest_copy_does_not_go_from_one_source_to_the_next():
    copied = Corpus({"one": "abcd", "two": "efghij"}, CHARACTERS).longest_copy("abcdefghij")

    assert (copied.span, copied.source) == ("efghij", "two")


@pytest.mark.parametrize("text", ["", "xyz"])
def test_longest_copy_of_what_shares_nothing_is_empty(text):
    copied = Corpus({"one": "abc"}, CHARACTERS).longest_copy(text)

    assert (copied.span, copied.source, copied.line) == ("", "", 0)


def test_corpus_is_as_the_model_writes_it():
    lower = CharTokenizer(("end",), TextOptions("NFKC", lowercase=True), "ab")
    words = WordTokenizer(("unk", "end"), IDENTITY, ("to", "be", "\n", "or"))

    assert Corpus({"one": "TO BE\nﬁne"}, lower).longest_copy("to be\nfine").span == "to be\nfine"
    assert Corpus({"one": "to  be \n\tor not"}, words).longest_copy("to be\nor").span == "to be\nor"
