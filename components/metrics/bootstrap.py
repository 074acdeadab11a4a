"""How sure a figure is: percentile bootstrap over examples, from sums that the figure is a function of.

A corpus figure is a function of sums over examples: right tokens and tokens, squared errors and values, n-grams
matched. So nothing is predicted or counted again: with s_i the statistics of example i, and c_ri how often resample r
drew it,

    value = metric(sum_i s_i)        value_r = metric(sum_i c_ri s_i)

and the interval is what lies between the 2.5 % and the 97.5 % quantile of the value_r. An example is what was drawn
independently: for tokens it is the sentence they stand in. Tokens of one sentence are right or wrong together, and
resampling them one by one would make the interval too narrow.

Source: Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 13; Koehn (2004), "Statistical
Significance Tests for Machine Translation Evaluation", for BLEU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 1000

Metric = Callable[[np.ndarray], np.ndarray]

# Drawn at a time: bounds the memory, to about 40 MB.
_DRAWS = 1_000_000


@dataclass(frozen=True)
class Sums:
    """A figure as what it is a function of.

    Attributes:
        statistics: Of each example [examples, ...].
        metric: From statistics summed over examples to the figure.
    """

    statistics: np.ndarray
    metric: Metric

    @property
    def value(self) -> float:
        """The figure of all examples; NaN of none."""
        return float(self.metric(self.statistics.sum(axis=0, dtype=np.float64)))

    def of(self, chosen: np.ndarray) -> Sums:
        """The figure of some of the examples: bool [examples], or their numbers."""
        return Sums(self.statistics[chosen], self.metric)


@dataclass(frozen=True)
class Measured:
    """A figure and its 95 % interval, NaN where it is not defined; `sums` is what it was measured of."""

    value: float
    low: float
    high: float
    sums: Sums | None = field(default=None, repr=False, compare=False)


def ratio(summed: np.ndarray) -> np.ndarray:
    """The metric of statistics that are a numerator and a denominator: [..., 2] → [...], NaN over 0."""
    return divided(summed[..., 0], summed[..., 1])


def divided(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, both of one shape; NaN over 0, without a warning."""
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator != 0)


def measure(statistics: np.ndarray, metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0) -> Measured:
    """A metric of all examples, with its 95 % interval; arguments as of `interval`."""
    low, high = interval(statistics, metric, resamples=resamples, seed=seed)
    sums = Sums(statistics, metric)
    return Measured(sums.value, low, high, sums)


def difference(one: Sums, other: Sums, *, resamples: int = RESAMPLES, seed: int = 0) -> Measured:
    """one - other on the same examples, with its 95 % interval.

    Paired: each resample draws the same examples for both, so that what makes an example hard for both cancels out.

    Raises:
        ValueError: They are not of as many examples.
    """
    if len(one.statistics) != len(other.statistics):
        raise ValueError(
            "difference: both figures must be of the same examples. Received: statistics of "
            f"{len(one.statistics)} and {len(other.statistics)} examples. Evaluate both on one split."
        )
    value = one.value - other.value
    if not (np.isfinite(one.statistics).all() and np.isfinite(other.statistics).all()):
        return Measured(value, np.nan, np.nan)
    # The same seed and number of examples, the same draws.
    drawn = (_resampled(sums.statistics, sums.metric, resamples, seed) for sums in (one, other))
    return Measured(value, *_ends(np.subtract(*drawn), CONFIDENCE))


def interval(
    statistics: np.ndarray,
    metric: Metric,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Bounds of the percentile bootstrap interval.

    Resamples on which the metric is NaN (no example of theirs has what it divides by) are left out. With few examples
    the interval is too narrow, and with a single one it is a point.

    Args:
        statistics: Statistics of each example [examples, ...].
        metric: From statistics summed over examples, float64 [resamples, ...], to values [resamples].
        resamples: How often as many examples are drawn, with replacement.
        seed: Of the draws: the same seed and number of examples, the same draws.
        confidence: Share of the resamples inside the interval.

    Returns:
        Lower and upper bound; NaN where the metric is NaN on every resample, or a statistic is not finite.

    Raises:
        ValueError: There are no examples or no resamples, or `confidence` is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(
            f"interval: confidence must be between 0 and 1. Received: confidence={confidence!r}. 0.95 is usual."
        )
    if len(statistics) < 1:
        raise ValueError(
            "interval: statistics must have at least one example. Received: statistics of shape "
            f"{statistics.shape}. Evaluate on a split that has examples."
        )
    if resamples < 1:
        raise ValueError(
            f"interval: resamples must be at least 1. Received: resamples={resamples!r}. {RESAMPLES} are usual."
        )
    # One example that is not finite spoils the value, but not the third of the resamples that miss it.
    if not np.isfinite(statistics).all():
        return np.nan, np.nan
    return _ends(_resampled(statistics, metric, resamples, seed), confidence)


def _ends(values: np.ndarray, confidence: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _resampled(statistics: np.ndarray, metric: Metric, resamples: int, seed: int) -> np.ndarray:
    """The metric on every resample, float64 [resamples]."""
    examples = len(statistics)
    random = np.random.default_rng(seed)
    flat = statistics.reshape(examples, -1).astype(np.float64)
    at_once = max(1, _DRAWS // examples)
    values = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = random.integers(examples, size=(rows, examples))
        drawn += np.arange(rows)[:, None] * examples
        counts = np.bincount(drawn.ravel(), minlength=rows * examples).reshape(rows, examples)
        summed = counts.astype(np.float64) @ flat
        values.append(metric(summed.reshape(rows, *statistics.shape[1:])))
    return np.concatenate(values)
