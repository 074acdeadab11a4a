"""Units against generalisation: more of them always fit the train text better, and the test text only up to a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from components.lab import text, training
from components.lab.demonstration import COLORS, Demonstration, Say

LENGTH = 50


@dataclass(frozen=True)
class Generalisation:
    """Figures, bits per character, each window read from a zero state.

    Attributes:
        characters: Of each text.
        units: [sizes].
        train: By epoch, while it is trained, [sizes, epochs].
        test: After each epoch, [sizes, epochs].
    """

    characters: int
    units: np.ndarray
    train: np.ndarray
    test: np.ndarray


def measure(
    seed: int = 0,
    say: Say = lambda line: None,
    units: Sequence[int] = (8, 32, 128, 512),
    epochs: int = 25,
    characters: int = 20_000,
) -> Generalisation:
    """Trains a network of each size on a slice of one play, and tests it on a slice of another."""
    windows, test_windows = text.train_and_test(characters, LENGTH)
    curves = []
    for size in units:
        curves.append(training.learn(windows, test_windows, size, epochs, seed))
        say(f"{size} units: train {curves[-1].train[-1]:.2f}, test {curves[-1].test[-1]:.2f} bits per character")
    return Generalisation(
        characters, np.asarray(units), np.stack([c.train for c in curves]), np.stack([c.test for c in curves])
    )


def sentences(figures: Generalisation) -> list[str]:
    epochs = figures.train.shape[1]
    told = [
        f"{units} units: after {epochs} epochs {train[-1]:.2f} bits per character on train, {test[-1]:.2f} on test "
        f"(gap {test[-1] - train[-1]:.2f}); best on test {test.min():.2f}, after epoch {test.argmin() + 1}."
        for units, train, test in zip(figures.units, figures.train, figures.test, strict=True)
    ]
    best = figures.units[figures.test.min(axis=1).argmin()]
    return [*told, f"{figures.characters:,} characters are learnt best, as the test sees it, with {best} units."]


def draw(picture: Figure, figures: Generalisation) -> None:
    ends, curves = picture.subplots(1, 2, sharey=True)
    ends.plot(figures.units, figures.train[:, -1], "o-", color=COLORS[0], label="train, last epoch")
    ends.plot(figures.units, figures.test[:, -1], "o-", color=COLORS[1], label="test, last epoch")
    ends.plot(figures.units, figures.test.min(axis=1), "o--", color=COLORS[1], mfc="white", label="test, best epoch")
    ends.set(xscale="log", xlabel="units", title="bits per character")
    ends.set_xticks(figures.units, [str(units) for units in figures.units], minor=False)
    ends.minorticks_off()
    ends.legend()
    epochs = np.arange(1, figures.train.shape[1] + 1)
    for color, units, train, test in zip(COLORS, figures.units, figures.train, figures.test, strict=False):
        curves.plot(epochs, test, color=color, label=f"{units} units")
        curves.plot(epochs, train, ":", color=color)
    curves.set(xlabel="epoch", title="test (solid), train (dotted)")
    curves.legend()


DEMONSTRATIONS = {
    "generalisation": Demonstration(
        title="Units against generalisation",
        equation="h_t = tanh(x_t U + h_{t-1} W + b), o_t = h_t V + c: units² + units (2 · characters + 1) + characters "
        "weights",
        advice="Choose units by the eval split, not by the loss on train; with too many, stop at the best epoch (the "
        "Trainer keeps the best weights), add dropout, or find more text.",
        measure=measure,
        sentences=sentences,
        draw=draw,
    )
}
