"""What a demonstration is: an equation, figures measured on the real layer, sentences about them, and a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

Say = Callable[[str], None]

# Told apart also by those who do not see all colours: Okabe and Ito (2008).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999")


@dataclasses.dataclass(frozen=True)
class Demonstration:
    """One demonstration.

    Attributes:
        title: What is shown.
        equation: Where it comes from.
        advice: What to do about it.
        measure: (seed, say) → the figures, a dataclass of numbers and arrays; `say` takes lines of progress.
        sentences: Figures → what they say.
        draw: Draws figures.
        size: Of the picture, inches.
    """

    title: str
    equation: str
    advice: str
    measure: Callable[[int, Say], Any]
    sentences: Callable[[Any], list[str]]
    draw: Callable[[Figure, Any], None]
    size: tuple[float, float] = (8.0, 3.4)
