"""Problems whose lag is known: copying and adding, as arrays from a seeded generator."""

from __future__ import annotations

import numpy as np

NOISE = 0.3
ADDING_BASELINE = 1 / 6  # variance of the sum of two uniform numbers: the error of always answering 1


def copying(random: np.random.Generator, size: int, timesteps: int, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """A symbol at each timestep, -1 or 1; what was read `lag` timesteps ago is asked for at every timestep.

    Args:
        random: Draws everything.
        size: Number of sequences.
        timesteps: Their length, longer than `lag`.
        lag: 1 … timesteps - 1.

    Returns:
        The symbols with noise of standard deviation 0.3, float32 [size, timesteps, 1]: what is hardly kept drowns in
        it. For the timesteps from `lag` on, 1 if the symbol `lag` timesteps ago was 1, else 0, float32
        [size, timesteps - lag, 1].
    """
    symbols = random.integers(0, 2, (size, timesteps, 1))
    sequences = 2 * symbols - 1 + random.normal(scale=NOISE, size=symbols.shape)
    return sequences.astype("float32"), symbols[:, : timesteps - lag].astype("float32")


def adding(random: np.random.Generator, size: int, timesteps: int) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers of many are marked, one in each half: their sum is asked for after the last timestep.

    Args:
        random: Draws everything.
        size: Number of sequences.
        timesteps: Their length, at least 2.

    Returns:
        float32 [size, timesteps, 2]: a number, uniform in [0, 1), and 1 if it is marked, else 0; the sum,
        float32 [size, 1].

    Source: Hochreiter and Schmidhuber (1997), section 5.4, in the form of Le, Jaitly and Hinton (2015), section 4.1.
    """
    numbers = random.uniform(size=(size, timesteps))
    rows, half = np.arange(size), timesteps // 2
    first, second = random.integers(0, half, size), random.integers(half, timesteps, size)
    marks = np.zeros((size, timesteps))
    marks[rows, first] = marks[rows, second] = 1
    sums = numbers[rows, first] + numbers[rows, second]
    return np.stack([numbers, marks], axis=2).astype("float32"), sums[:, None].astype("float32")
