"""Mean and standard deviation of many numbers, from those of their parts. Pure."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """What is known of some rows of numbers, column by column.

    Attributes:
        rows: How many.
        mean: float64 [columns].
        squares: Sum of the squared distances from the mean, float64 [columns].
        least, most: float64 [columns]: a column is constant where they are equal, whatever rounding makes of `squares`.
    """

    rows: int
    mean: np.ndarray
    squares: np.ndarray
    least: np.ndarray
    most: np.ndarray

    @classmethod
    def none(cls, columns: int) -> Moments:
        """Those of no row."""
        return cls(0, np.zeros(columns), np.zeros(columns), np.full(columns, np.inf), np.full(columns, -np.inf))

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Those of some rows: numbers [rows, columns]."""
        if not len(rows):
            return cls.none(rows.shape[1])
        exact = rows.astype(np.float64)
        mean = exact.mean(axis=0)
        return cls(len(rows), mean, np.square(exact - mean).sum(axis=0), exact.min(axis=0), exact.max(axis=0))

    def with_more(self, more: Moments) -> Moments:
        """Those of these rows and others.

        Source: Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
        variances".
        """
        count = self.rows + more.rows
        if not self.rows or not more.rows:
            return self if more.rows == 0 else more
        distance = more.mean - self.mean
        return Moments(
            count,
            self.mean + distance * (more.rows / count),
            self.squares + more.squares + distance**2 * (self.rows * more.rows / count),
            np.minimum(self.least, more.least),
            np.maximum(self.most, more.most),
        )

    @property
    def std(self) -> np.ndarray:
        """Standard deviation (of all rows, not estimated from a sample); 1 for a constant: float64 [columns]."""
        constant = self.least >= self.most
        return np.where(constant, 1.0, np.sqrt(self.squares / max(self.rows, 1)))


def joined(parts: Iterable[Moments], columns: int) -> Moments:
    """Those of all parts together, added in the order in which they come: it decides the last bits."""
    return functools.reduce(Moments.with_more, parts, Moments.none(columns))
