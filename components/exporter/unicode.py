"""Unicode normalisation and lower case inside a TensorFlow graph, with stock operations only.

The twin of `components.transform.text_options`. TensorFlow's own normalisation is of another version of Unicode than
Python's, so everything here is looked up in tables that are made from `unicodedata` when the graph is built.

Normalisation has three steps (Unicode Standard Annex 15):

    decomposition   each character becomes its full (canonical, or compatibility) decomposition
    ordering        each run of combining marks is sorted by combining class, equal classes kept in order
    composition     from left to right, a character is joined with the last starter before it if the two have a
                    composite and nothing that remains between them has combining class 0 or one as high

The last is done in rounds: in each, every starter takes the first character that it can. A starter takes three
characters at most, so there are few rounds, however long the text is. They end where going from left to right does:

- No character is both the first of one pair and the second of another, so no starter that takes is ever taken.
- A mark that a starter S could not take stays out of reach once S has become S' by taking one of a higher class further
  right. For if S' and that mark had a composite, S and both marks would be its decomposition, in order, and compose to
  something else; but no composite changes when it is normalised.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf

_CODE_POINTS = 0x110000
_BLOCK = 128
# A pair of code points, of 21 bits each, as one number.
_FIRST = 1 << 21
_DECOMPOSED: dict[str, Literal["NFD", "NFKD"]] = {"NFC": "NFD", "NFKC": "NFKD"}


class UnicodeNormalizer(tf.Module):
    """Normalises code points as `TextOptions.apply` does text.

    Args:
        normalization: `none`, `NFC` or `NFKC`.
        lowercase: Whether each character becomes its lower case, after normalisation.

    Raises:
        ValueError: This Python's version of Unicode has characters that composition in rounds could get wrong.
    """

    def __init__(self, normalization: Literal["none", "NFC", "NFKC"], lowercase: bool) -> None:
        super().__init__()
        self._normalize = None if normalization == "none" else _Normalization(normalization)
        self._lower = _Expansion(_changed(str.lower)) if lowercase else None

    def __call__(self, codes: tf.RaggedTensor) -> tf.RaggedTensor:
        """Normalises a batch of texts.

        Args:
            codes: Unicode code points, int32 [batch, (characters)].

        Returns:
            int32 [batch, (characters)].
        """
        if self._normalize:
            codes = self._normalize(codes)
        if self._lower:
            codes = self._lower(codes)
        return codes


class _Normalization(tf.Module):
    """Normalisation to one form; a batch in which nothing can change costs a look at each character."""

    def __init__(self, form: Literal["NFC", "NFKC"]) -> None:
        super().__init__()
        decompositions = _changed(functools.partial(unicodedata.normalize, _DECOMPOSED[form]))
        pairs = _compositions()
        seconds = {second for _, second in pairs}
        if seconds & {first for first, _ in pairs}:
            raise ValueError(
                "UnicodeNormalizer: no character must be the first of one composition and the second of another. "
                f"Received: unicodedata.unidata_version={unicodedata.unidata_version!r}. Use Python 3.11, or "
                "transform.normalization=none."
            )
        classes = np.array([unicodedata.combining(chr(code)) for code in range(_CODE_POINTS)], np.int32)
        can_join = np.zeros(_CODE_POINTS, np.int32)
        can_join[list(seconds)] = 1
        # Text of other characters is normalised: none changes alone, has an order, or joins with one before it.
        unsettled = (classes > 0) | (can_join > 0)
        unsettled[list(_changed(functools.partial(unicodedata.normalize, form)))] = True

        self._decompose = _Expansion(decompositions)
        self._class = _CodePointTable(classes)
        self._can_join = _CodePointTable(can_join)
        self._unsettled = _CodePointTable(unsettled.astype(np.int32))
        self._first_unsettled = int(np.argmax(unsettled))
        self._composites = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant([first * _FIRST + second for first, second in pairs], tf.int64),
                tf.constant(list(pairs.values()), tf.int32),
            ),
            default_value=-1,
        )

    def __call__(self, codes: tf.RaggedTensor) -> tf.RaggedTensor:
        def normalized() -> tuple[tf.Tensor, tf.Tensor]:
            decomposed = self._decompose(codes)
            values, row = decomposed.flat_values, decomposed.value_rowids()
            values, row = self._compose(*self._order(values, row), row)
            return values, tf.RaggedTensor.from_value_rowids(values, row, codes.nrows()).row_splits

        def same() -> tuple[tf.Tensor, tf.Tensor]:
            return codes.flat_values, codes.row_splits

        # ASCII is below all that can change, and need not even be looked up.
        suspects = tf.boolean_mask(codes.flat_values, codes.flat_values >= self._first_unsettled)
        change = tf.reduce_any(self._unsettled(suspects) > 0)
        return tf.RaggedTensor.from_row_splits(*tf.cond(change, normalized, same))

    def _order(self, values: tf.Tensor, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Canonical ordering of code points [characters] in their rows: code points and combining classes."""
        classes = self._class(values)
        run = tf.cumsum(tf.cast(_differs_from_previous(row) | (classes == 0), tf.int64))
        # Only marks move, and only to where other marks of the run were.
        marks = tf.where(classes > 0)
        by_class = tf.gather_nd(run * 256 + tf.cast(classes, tf.int64), marks)
        ordered = tf.gather(marks, tf.argsort(by_class, stable=True))
        return (
            tf.tensor_scatter_nd_update(values, marks, tf.gather_nd(values, ordered)),
            tf.tensor_scatter_nd_update(classes, marks, tf.gather_nd(classes, ordered)),
        )

    def _compose(self, values: tf.Tensor, classes: tf.Tensor, row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Canonical composition of code points [characters] in their rows: the code points left, and their rows."""

        def turn(values: Any, classes: Any, row: Any, _: Any) -> Any:
            place = tf.range(tf.size(values))
            starter = self._last_starter(classes, row)
            class_before = tf.concat([tf.zeros_like(classes[:1]), classes[:-1]], 0)
            # All that is between has a lower class if the nearest has: marks are in order.
            reaches = (starter == place - 1) | (class_before < classes)
            may = tf.boolean_mask(place, (starter >= 0) & reaches & (self._can_join(values) > 0))
            pair = tf.cast(tf.gather(values, tf.gather(starter, may)), tf.int64) * _FIRST
            composite = self._composites.lookup(pair + tf.cast(tf.gather(values, may), tf.int64))
            can = composite >= 0
            taken, composite = tf.boolean_mask(may, can), tf.boolean_mask(composite, can)
            # The first of each starter.
            by = tf.gather(starter, taken)
            first = _differs_from_previous(by)
            taken, by, composite = (tf.boolean_mask(vector, first) for vector in (taken, by, composite))

            values = tf.tensor_scatter_nd_update(values, by[:, None], composite)
            left = tf.tensor_scatter_nd_update(tf.ones_like(reaches), taken[:, None], tf.zeros_like(taken, tf.bool))
            remaining = (tf.boolean_mask(vector, left) for vector in (values, classes, row))
            return *remaining, tf.size(taken) > 0

        loop = (values, classes, row, tf.constant(True))
        values, _, row, _ = tf.while_loop(lambda *state: state[-1], turn, loop)
        return values, row

    def _last_starter(self, classes: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        """Place of the last starter before each character in its row, or -1: int32 [characters]."""
        is_starter = classes == 0
        places = tf.concat([[-1], tf.cast(tf.where(is_starter)[:, 0], tf.int32)], 0)
        before = tf.gather(places, tf.cumsum(tf.cast(is_starter, tf.int32), exclusive=True))
        return tf.where(tf.gather(row, tf.maximum(before, 0)) == row, before, -1)


class _CodePointTable(tf.Module):
    """A number for each code point; blocks of equal numbers are stored once."""

    def __init__(self, numbers: np.ndarray) -> None:
        super().__init__()
        blocks, block = np.unique(numbers.reshape(-1, _BLOCK), axis=0, return_inverse=True)
        self._start = tf.constant(block.ravel() * _BLOCK, tf.int32)
        self._numbers = tf.constant(blocks.ravel(), tf.int32)

    def __call__(self, codes: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._numbers, tf.gather(self._start, codes // _BLOCK) + codes % _BLOCK)


class _Expansion(tf.Module):
    """Replaces code points by one or more others."""

    def __init__(self, replacements: Mapping[int, str]) -> None:
        super().__init__()
        # Entry 0 is for what stays as it is.
        entries = np.zeros(_CODE_POINTS, np.int32)
        entries[list(replacements)] = np.arange(1, len(replacements) + 1)
        lengths = np.array([1, *map(len, replacements.values())])
        self._entry = _CodePointTable(entries)
        self._lengths = tf.constant(lengths, tf.int32)
        self._starts = tf.constant(lengths.cumsum() - lengths, tf.int32)
        self._codes = tf.constant([-1, *map(ord, "".join(replacements.values()))], tf.int32)

    def __call__(self, codes: tf.RaggedTensor) -> tf.RaggedTensor:
        values = codes.flat_values
        entry = self._entry(values)
        lengths = tf.gather(self._lengths, entry)
        stops = tf.cumsum(lengths)
        # Where in its character each new one is, and where in the list of replacements: [characters afterwards]
        source = tf.repeat(tf.range(tf.size(values)), lengths)
        shift = tf.gather(tf.gather(self._starts, entry) - (stops - lengths), source)
        replaced = tf.gather(self._codes, tf.range(tf.size(source)) + shift)
        values = tf.where(replaced < 0, tf.gather(values, source), replaced)
        splits = tf.gather(tf.concat([[0], stops], 0), codes.row_splits)
        return tf.RaggedTensor.from_row_splits(values, tf.cast(splits, codes.row_splits.dtype))


def _differs_from_previous(vector: tf.Tensor) -> tf.Tensor:
    """Whether each element differs from the one before it, as the first one does: bool, of the vector's shape."""
    return tf.concat([tf.ones_like(vector[:1], tf.bool), vector[1:] != vector[:-1]], 0)


def _changed(change: Callable[[str], str]) -> dict[int, str]:
    """Code points that a function of strings changes, each with what it becomes."""
    changed = ((code, change(chr(code))) for code in range(_CODE_POINTS))
    return {code: after for code, after in changed if after != chr(code)}


def _compositions() -> dict[tuple[int, int], int]:
    """(starter, character after it) → the character that they are canonically equal to, excluded ones left out."""
    composites = {}
    for code, parts in _changed(functools.partial(unicodedata.normalize, "NFD")).items():
        if unicodedata.normalize("NFC", chr(code)) == chr(code):
            composites[ord(unicodedata.normalize("NFC", parts[:-1])), ord(parts[-1])] = code
    return composites
