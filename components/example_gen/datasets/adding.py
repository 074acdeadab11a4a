"""The adding problem: two numbers of a long series are marked, and their sum is asked for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from components.documents import Feature
from components.example_gen.datasets.interface import GeneratedSet, Options, document
from components.example_gen.parsed import Document
from components.example_gen.split_names import SPLITS


def features(options: Options) -> Mapping[str, Feature]:
    """A series of `timesteps` numbers and marks, and their sum."""
    return {"array": Feature("array", "float32", (options["timesteps"], 2)), "value": Feature("number")}


def make(split: str, number: int, options: Options) -> Document:
    """A series, float32 [timesteps, 2]: numbers uniform in [0, 1), and marks, 1 for one number of each half, else 0.

    Its `value` is the sum of the marked numbers. Each document has a generator of its own, so that it is the same
    however many there are.

    Source: Hochreiter and Schmidhuber (1997), section 5.4, in the form of Le, Jaitly and Hinton (2015), section 4.1.
    """
    timesteps = options["timesteps"]
    random = np.random.default_rng([options["seed"], SPLITS.index(split), number])
    half = timesteps // 2
    marked = [random.integers(0, half), random.integers(half, timesteps)]
    series = np.zeros((timesteps, 2), np.float32)
    series[:, 0] = random.random(timesteps, np.float32)
    series[marked, 1] = 1
    total = float(series[marked, 0].astype(np.float64).sum())
    return document(f"{split}:{number + 1}", number + 1, 0, array=series, value=total)


ADDING = GeneratedSet(
    defaults={"timesteps": 50, "count": 20_000, "seed": 0},
    least={"timesteps": 2, "count": 1, "seed": 0},
    features_of=features,
    make=make,
)
