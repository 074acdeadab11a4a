"""Text as words: runs of characters between ASCII whitespace, and line ends.

Only 0x09 to 0x0D and the space separate; a no-break space, U+0085 or U+2028 is part of a word. A line end `"\\n"` is a
word of its own, all other whitespace is lost. `components.exporter.pieces` does the same inside a TensorFlow graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"\n|[^\x09-\x0D ]+")


def split_words(text: str) -> list[str]:
    """Cuts a text into words: `"To be,\\n or"` → `["To", "be,", "\\n", "or"]`."""
    return _WORD.findall(text)


def join_words(words: Iterable[str]) -> str:
    """Joins words with one space, but none beside a line end: `split_words` of the result gives the words again."""
    return " ".join(words).replace(" \n", "\n").replace("\n ", "\n")
