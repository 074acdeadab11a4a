"""What a text has copied from the text that its model was trained on."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from components.transform.tokenizers import code_points

# Stands between the sources: no span goes over it.
_BETWEEN = "\0"
# A hash of a span is the sum of its characters, each times a power of this, modulo 2^64. Of five million spans and five
# thousand others, two different ones have the same hash once in a thousand million times.
_BASE = 0x9E3779B97F4A7C15
# Most spans of a corpus are in no other text from about this length on.
_FIRST = 8


@dataclasses.dataclass(frozen=True)
class Copied:
    """The longest span that a text shares with a corpus.

    Attributes:
        span: The characters.
        source: Where it is, the first time: a name, "" when nothing at all is shared.
        line: The line there that it begins in, from 1.
    """

    span: str
    source: str
    line: int


class Corpus:
    """The text that a model was trained on, as the model would write it.

    Args:
        sources: Name → text.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._names = list(sources)
        self._starts = [0, *itertools.accumulate(len(text) + len(_BETWEEN) for text in sources.values())]
        self._text = _BETWEEN.join(sources.values())
        self._hashes = _Hashes(self._text)

    def longest_copy(self, text: str) -> Copied:
        """Finds the longest span of a text that is in the corpus, too.

        If a span of n characters is there, so are shorter ones, at its place: n is found by bisection, and the longer
        the span, the fewer places remain.
        """
        own = _Hashes(text)
        places = np.arange(len(self._text))
        length, longest = 0, len(text)
        while length < longest:
            longer = min(max(_FIRST, 2 * length), (length + longest + 1) // 2)
            found = self._places_of(own, longer, places)
            if found.size:
                length, places = longer, found
            else:
                longest = longer - 1
        if length == 0:
            return Copied("", "", 0)
        place = int(places[0])
        source = bisect.bisect_right(self._starts, place) - 1
        line = self._text.count("\n", self._starts[source], place) + 1
        return Copied(self._text[place : place + length], self._names[source], line)

    def _places_of(self, own: _Hashes, length: int, places: np.ndarray) -> np.ndarray:
        """Those of `places` where a span of the text begins."""
        places = places[: np.searchsorted(places, len(self._text) - length, side="right")]
        wanted = np.unique(own.of_spans(np.arange(len(own) - length + 1), length))
        hashes = self._hashes.of_spans(places, length)
        index = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        return places[wanted[index] == hashes]


class _Hashes:
    """The hash of any span of a text, in no time."""

    def __init__(self, text: str) -> None:
        codes = code_points(text).astype(np.uint64) + np.uint64(1)
        self._powers = _powers(_BASE, len(codes))
        self._inverse = _powers(pow(_BASE, -1, 2**64), len(codes))
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * self._powers, dtype=np.uint64)])

    def __len__(self) -> int:
        return len(self._powers)

    def of_spans(self, places: np.ndarray, length: int) -> np.ndarray:
        """uint64, one for each of `places`."""
        # Divided by the power at the place, or the same span would have another hash elsewhere.
        return (self._sums[places + length] - self._sums[places]) * self._inverse[places]


def _powers(base: int, count: int) -> np.ndarray:
    """base^0 … base^(count - 1), modulo 2^64."""
    factors = np.full(count, base, np.uint64)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)
