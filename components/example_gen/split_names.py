"""The names under which corpora come divided already, and which split each of them means. Pure."""

from __future__ import annotations

import re

SPLITS = ("train", "eval", "test")
_NAMES = {
    "train": ("train", "training"),
    "eval": ("eval", "validation", "valid", "val", "dev"),
    "test": ("test",),
}
_CODES = {name: SPLITS.index(split) for split, names in _NAMES.items() for name in names}
KNOWN = ", ".join(_CODES)


def split_code(name: str) -> int | None:
    """Position in `SPLITS` of what a source calls a split; None for a name that means none of them."""
    return _CODES.get(name.lower())


def split_code_in(file: str) -> int | None:
    """The split that a file's name or one of its folders says: `dev/a.txt`, `train-00001.jsonl.gz`, `test.en`.

    The word nearest to the root counts.
    """
    words = re.split(r"[^A-Za-z]+", file)
    return next((code for word in words if (code := split_code(word)) is not None), None)
