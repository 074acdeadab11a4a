"""Words: runs of characters between ASCII whitespace, and line ends."""

import pytest
from hypothesis import example, given, settings

from components.transform.words import join_words, split_words
from tests.components.transform.texts import AWKWARD, TEXTS


def words_by_loop(text: str) -> list[str]:
    """The definition, a character at a time."""
    words, open_word = [], False
    for character in text:
        if character in "\t\x0b\x0c\r ":
            open_word = False
        elif character == "\n":
            words, open_word = [*words, "\n"], False
        elif open_word:
            words[-1] += character
        else:
            words, open_word = [*words, character], True
    return words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\r ", []),
        ("To be,\n or", ["To", "be,", "\n", "or"]),
        ("\n\na\r\nb\n", ["\n", "\n", "a", "\n", "b", "\n"]),
        ("a\xa0b\u2028c\x85d\u3000e\x00f", ["a\xa0b\u2028c\x85d\u3000e\x00f"]),
    ],
)
def test_split_words_separates_at_ascii_whitespace_alone(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_split_words_differs_from_what_python_calls_whitespace() -> None:
    assert split_words("a\x85b") != ["a", "b"]


@settings(deadline=None)
@given(TEXTS)
@example(AWKWARD)
def test_split_words_is_the_definition(text: str) -> None:
    assert split_words(text) == words_by_loop(text)


def test_join_words_puts_no_space_beside_a_line_end() -> None:
    assert join_words(["\n", "\n", "a", "b", "\n", "\n", "\n", "c", "\n"]) == "\n\na b\n\n\nc\n"


@settings(deadline=None)
@given(TEXTS)
@example(AWKWARD)
def test_join_words_then_split_is_the_words(text: str) -> None:
    assert split_words(join_words(split_words(text))) == split_words(text)
