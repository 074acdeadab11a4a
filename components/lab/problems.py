"""Problems whose lag is known: copying and adding, as arrays from a seeded generator."""

from __future__ import annotations

import numpy as np

SYMBOLS = 4


def copying(random: np.random.Generator, size: int, timesteps: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A symbol comes first, blanks follow; after the last one the symbol is asked for. Its lag is timesteps - 1.

    Args:
        random: Draws everything.
        size: Number of sequences.
        timesteps: Their length.
        noise: Standard deviation of what is added to every input: what is not held on to drowns.

    Returns:
        float32 [size, timesteps, SYMBOLS + 1]: one-hot, the last feature is the blank; the symbol, int32 [size].
    """
    symbols = random.integers(0, SYMBOLS, size)
    tokens = np.full((size, timesteps), SYMBOLS)
    tokens[:, 0] = symbols
    sequences = np.eye(SYMBOLS + 1)[tokens] + random.normal(scale=noise, size=(size, timesteps, SYMBOLS + 1))
    return sequences.astype("float32"), symbols.astype("int32")


def adding(random: np.random.Generator, size: int, timesteps: int) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers of many are marked, one in each half: their sum is asked for after the last timestep.

    Args:
        random: Draws everything.
        size: Number of sequences.
        timesteps: Their length, at least 2.

    Returns:
        float32 [size, timesteps, 2]: a number, uniform in [0, 1), and 1 if it is marked, else 0; the sum,
        float32 [size, 1]. Always to answer 1 has a mean squared error of 1/6.

    Source: Hochreiter and Schmidhuber (1997), section 5.4, in the form of Le, Jaitly and Hinton (2015), section 4.1.
    """
    numbers = random.uniform(size=(size, timesteps))
    rows, half = np.arange(size), timesteps // 2
    first, second = random.integers(0, half, size), random.integers(half, timesteps, size)
    marks = np.zeros((size, timesteps))
    marks[rows, first] = marks[rows, second] = 1
    sums = numbers[rows, first] + numbers[rows, second]
    return np.stack([numbers, marks], axis=2).astype("float32"), sums[:, None].astype("float32")
