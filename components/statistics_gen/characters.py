"""What Unicode says of a character: its script, whether it is a suspect one, and how to show it."""

from __future__ import annotations

import functools
import unicodedata

# The standard library knows no scripts; fontTools carries Unicode's own table of them.
from fontTools import unicodedata as tables

CONTROL, REPLACEMENT, PRIVATE_USE, UNASSIGNED, INVISIBLE = (
    "control",
    "replacement",
    "private_use",
    "unassigned",
    "invisible",
)
# Kinds of characters that a corpus of text should not hold; INVISIBLE ones have honest uses (joiners in emoji).
INVALID = (CONTROL, REPLACEMENT, PRIVATE_USE, UNASSIGNED)
KINDS = (*INVALID, INVISIBLE)
# Characters of every script (digits, punctuation), marks that take their base's script, and what has none.
NO_SCRIPT = frozenset({"Common", "Inherited", "Unknown"})

_CATEGORIES = {"Cc": CONTROL, "Co": PRIVATE_USE, "Cn": UNASSIGNED, "Cf": INVISIBLE}
_NAMES = {"\n": "line feed", "\t": "tab", "\r": "carriage return", " ": "space", "\xa0": "no-break space"}


def script(character: str) -> str:
    """Unicode's script of a character, by its long name: `Latin`, `Han`, `Common`."""
    return _script_name(tables.script(character))


@functools.cache
def _script_name(code: str) -> str:
    return str(tables.script_name(code)).replace("_", " ")


@functools.cache
def kind(character: str) -> str | None:
    """Which of `KINDS` a character is, or None for an ordinary one; line feed, tab and carriage return are ordinary."""
    if character == "\N{REPLACEMENT CHARACTER}":
        return REPLACEMENT
    if character in "\n\t\r":
        return None
    found = _CATEGORIES.get(unicodedata.category(character))
    # Python's tables may be older than those of the scripts: what has a script is assigned.
    return None if found == UNASSIGNED and script(character) != "Unknown" else found


def shown(character: str) -> str:
    """A character for people: itself if it leaves a mark on paper, else its name."""
    if character in _NAMES:
        return _NAMES[character]
    if unicodedata.category(character)[0] in "CZ":
        return unicodedata.name(character, "").lower() or code_point(character)
    # A combining mark needs something to stand on.
    return f"◌{character}" if unicodedata.combining(character) else character


def code_point(character: str) -> str:
    """`U+0041`."""
    return f"U+{ord(character):04X}"


def described(character: str) -> str:
    """A character with its number, for a sentence: `'ж' (U+0436)`, `line feed (U+000A)`, `U+0007`."""
    text, number = shown(character), code_point(character)
    if text == number:
        return number
    return f"'{text}' ({number})" if len(text) <= 2 else f"{text} ({number})"
