"""A measured figure and how sure it is."""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    """A metric's value.

    Attributes:
        value: On the examples at hand.
        low, high: Ends of its 95 % confidence interval; None where there is none.
    """

    value: float
    low: float | None = None
    high: float | None = None
