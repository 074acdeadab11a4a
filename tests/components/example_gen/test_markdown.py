"""Markdown to plain text: literal examples, in and out."""

import pytest

from components.example_gen.markdown import plain_text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("# Hamlet", "Hamlet\n"),
        ("###### SCENE I\nA room.", "SCENE I\nA room.\n"),
        ("_Exit_", "Exit\n"),
        ("*Exit*", "Exit\n"),
        ("**BERNARDO**", "BERNARDO\n"),
        ("***both***", "both\n"),
        ("**_both_** and _**both**_", "both and both\n"),
        ("**two\nlines**", "two\nlines\n"),
        ("**a *nested* mark**", "a nested mark\n"),
        ("*a **nested** mark*", "a nested mark\n"),
        ("***a** b*", "a b\n"),
        ("without a partner_ here", "without a partner here\n"),
        ("_[Enter two Clowns._", "[Enter two Clowns.\n"),
        ("up\n\n---\n\ndown", "up\n\ndown\n"),
        ("up\n\n* * *\n\ndown", "up\n\ndown\n"),
        ("a break  \nand a tab\t\n", "a break\nand a tab\n"),
        ("a\n\n\n\n\nb", "a\n\nb\n"),
        ("\n\na\n\n", "a\n"),
        ("a\r\n\r\nb\r\n", "a\n\nb\n"),
        (r"1\. O brave\!", "1. O brave!\n"),
        (r"\# no heading", "# no heading\n"),
        (r"\*no emphasis\*", "*no emphasis*\n"),
        (r"\_no emphasis\_", "_no emphasis_\n"),
        (r"snake\_case", "snake_case\n"),
        ("", "\n"),
    ],
)
def test_plain_text_marks_are_stripped(markdown: str, text: str) -> None:
    assert plain_text(markdown) == text


@pytest.mark.parametrize(
    "text",
    [
        "#hashtag\n",
        "####### seven\n",
        "number # 5\n",
        "snake_case_name\n",
        "2 * 3 * 4\n",
        "* an item\n* another\n",
        "A -- B, well-known\n",
        "  indented\n",
        "one\n\ntwo\n",
        "Ophélia 𝄞 — “quoted”\n",
    ],
)
def test_plain_text_without_marks_is_unchanged(text: str) -> None:
    assert plain_text(text) == text
