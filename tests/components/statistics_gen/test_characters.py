"""What Unicode says of a character, and how it is shown."""

import pytest

from components.statistics_gen.characters import described, kind, script, shown


@pytest.mark.parametrize(
    ("character", "name"),
    [("a", "Latin"), ("Ａ", "Latin"), ("ж", "Cyrillic"), ("ω", "Greek"), ("漢", "Han"), ("ひ", "Hiragana"),
     ("ש", "Hebrew"), ("한", "Hangul"), ("1", "Common"), ("😀", "Common"), ("\u0301", "Inherited"),
     ("\U00010330", "Gothic"), ("\ue000", "Unknown"), ("ᐁ", "Canadian Aboriginal")],
)  # fmt: skip
def test_script_is_unicodes(character: str, name: str) -> None:
    assert script(character) == name


@pytest.mark.parametrize(
    ("character", "expected"),
    [("a", None), ("\n", None), ("\t", None), ("\r", None), ("\x00", "control"), ("\x85", "control"),
     ("\x7f", "control"), ("\ufffd", "replacement"), ("\ue000", "private_use"), ("\U000f0000", "private_use"),
     ("\uffff", "unassigned"), ("\u0378", "unassigned"), ("\u200b", "invisible"), ("\u202e", "invisible"),
     ("\xad", "invisible"), (" ", None), ("\xa0", None), ("😀", None)],
)  # fmt: skip
def test_kind_is_that_of_suspect_characters(character: str, expected: str | None) -> None:
    assert kind(character) == expected


def test_kind_of_a_letter_newer_than_pythons_tables_is_ordinary() -> None:
    # U+105C0 came with Unicode 16; its script is in the tables of fontTools.
    assert script("\U000105c0") == "Todhri"
    assert kind("\U000105c0") is None


@pytest.mark.parametrize(
    ("character", "text"),
    [("a", "a"), ("\n", "line feed"), (" ", "space"), ("\x07", "U+0007"), ("\u200f", "right-to-left mark"),
     ("\u0301", "◌\u0301"), ("漢", "漢")],
)  # fmt: skip
def test_shown_is_the_character_or_its_name(character: str, text: str) -> None:
    assert shown(character) == text


def test_described_names_the_code_point() -> None:
    assert described("ж") == "'ж' (U+0436)"
    assert described("\n") == "line feed (U+000A)"
    assert described("\x07") == "U+0007"
