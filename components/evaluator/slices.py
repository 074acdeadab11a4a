"""The parts of a split that are judged on their own: documents, lengths, classes, kinds of characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np

from components.metrics.bootstrap import Sums
from components.transform.tokenizers import Tokenizer
from pipeline.evaluator_config import CHARACTER_CLASSES

# "DIMENSION=VALUE" → metric → figure.
Slices = Mapping[str, Mapping[str, Sums]]


def by_value(dimension: str, values: Iterable[str], figures: Mapping[str, Sums]) -> dict[str, dict[str, Sums]]:
    """The slices of a dimension: for each value, the figures of the examples that have it.

    Args:
        dimension: Its name.
        values: Of each example.
        figures: Of all examples.
    """
    names, numbers = np.unique(np.asarray([*values], object), return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(numbers, minlength=len(names)))[:-1])
    return {
        f"{dimension}={name}": {metric: sums.of(chosen) for metric, sums in figures.items()}
        for name, chosen in zip(names, members, strict=True)
    }


def character_class(text: str) -> str:
    """One of `CHARACTER_CLASSES`: that of the first character that is no whitespace, if there is one."""
    first = next((character for character in text if not character.isspace()), None)
    if first is None:
        return "whitespace" if text else "other"
    kinds = {"L": "letters", "M": "letters", "N": "digits", "P": "punctuation", "S": "punctuation"}
    return kinds.get(unicodedata.category(first)[0], "other")


def token_classes(tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Of each token id: the number of its class in `CHARACTER_CLASSES`, and how many characters it stands for.

    `<end>` and an unknown token count as one character; a byte within a character is none.
    """
    specials = {"end": "end"}
    names = [specials.get(name, "unknown") for name in tokenizer.specials]
    names += [character_class(symbol.decode("utf-8", "ignore")) for symbol in tokenizer.symbols]
    counts = [1] * len(tokenizer.specials)
    counts += [sum(byte & 0xC0 != 0x80 for byte in symbol) for symbol in tokenizer.symbols]
    return np.asarray([CHARACTER_CLASSES.index(name) for name in names]), np.asarray(counts, np.int64)
