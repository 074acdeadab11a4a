"""What texts are judged by: units are the tokenizer's, and each text is held against its closest reference."""

import pytest

from components.tasks.generating import text_metrics
from components.transform.tokenizers import IDENTITY, CharTokenizer, WordTokenizer

WORDS = WordTokenizer(("end", "unk", "pad"), IDENTITY, ("a", "b", "c"))
CHARACTERS = CharTokenizer(("end", "unk", "pad"), IDENTITY, "abc ")


def values(tokenizer, written, references):
    return {name: found.value for name, found in text_metrics(tokenizer, written, references).items()}


@pytest.mark.parametrize(("written", "right"), [("a b", "a\u00a0b"), ("c c", "c\nc"), ("a\u2028b", "a b")])
def test_words_are_the_tokenizers_not_pythons(written, right):
    assert written.split() == right.split()  # guard
    assert WORDS.encode(written).tolist() != WORDS.encode(right).tolist()

    found = values(WORDS, [written], [[right]])

    assert found["exact_match"] == 0
    assert found["exact_length_rate"] == 0
    assert found["mean_signed_length_error"] == len(WORDS.encode(written)) - len(WORDS.encode(right))


def test_whitespace_that_the_tokenizer_loses_is_no_error():
    assert values(WORDS, ["a b"], [[" a \t b "]])["exact_match"] == 1
    assert values(CHARACTERS, ["a b"], [["a  b"]])["exact_match"] == 0  # characters are compared as they are


def test_lengths_are_compared_with_the_reference_that_errors_are_counted_against():
    found = values(WORDS, ["c c c"], [["c", "c c c"]])

    assert (found["exact_match"], found["error_rate"]) == (1, 0)
    assert (found["exact_length_rate"], found["mean_absolute_length_error"]) == (1, 0)
    first = values(WORDS, ["c c c"], [["c"]])  # guard: the first reference alone gives other figures
    assert (first["exact_length_rate"], first["mean_absolute_length_error"]) == (0, 2)


def test_lengths_do_not_depend_on_the_order_of_the_references():
    texts, references = ["a b", "c", "a a a"], [["a b c", "b"], ["b b", "a a a"], ["a", "b b b"]]

    assert values(WORDS, texts, references) == values(WORDS, texts, [each[::-1] for each in references])


def test_token_accuracy_is_of_the_places_of_the_closest_reference():
    texts, references = ["a b", "c b a"], [["c c c c", "a c"], ["c b"]]

    found = values(WORDS, texts, references)

    assert found["token_accuracy"] == 3 / 4  # `a` of `a c`, both of `c b`; what is surplus is an error, no token
    assert found["error_rate"] == 2 / 4


def test_token_accuracy_of_characters_counts_characters():
    assert values(CHARACTERS, ["ab c"], [["abcc"]])["token_accuracy"] == 3 / 4
