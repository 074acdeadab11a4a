"""Confidence intervals by the bootstrap: how much a figure would differ on other examples of the same kind.

A metric is a function of sums over examples: accuracy is (right answers) / (answers). Examples are drawn with
replacement, as many as there are, and the metric is computed of each draw's sums; the interval is between quantiles of
what comes out. Whole examples are drawn, so a metric of tokens takes it that the tokens of a sentence are alike.

Source: Efron (1979), Bootstrap Methods: Another Look at the Jackknife; Koehn (2004), for BLEU.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from components.metrics.measured import Measured

_DRAWS_AT_ONCE = 100


def measured(
    statistics: np.ndarray,
    metric: Callable[[np.ndarray], np.ndarray],
    resamples: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Measured:
    """Computes a metric and its percentile interval.

    Args:
        statistics: What is summed, float or integers [examples, k].
        metric: Sums [draws, k] → value of the metric [draws].
        resamples: Number of draws.
        seed: Of the draws.
        confidence: Share of the draws between the interval's ends.

    Returns:
        Value and interval; without an example, NaN.
    """
    examples = len(statistics)
    if not examples:
        return Measured(float("nan"))
    statistics = np.asarray(statistics, np.float64)
    value = float(metric(statistics.sum(axis=0)[None])[0])
    random = np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        draws = min(_DRAWS_AT_ONCE, resamples - start)
        # How often each example is drawn: sums are then a product of matrices.
        counts = random.multinomial(examples, np.full(examples, 1 / examples), size=draws)
        drawn.append(metric(counts @ statistics))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail])
    return Measured(value, float(low), float(high))


def ratio(sums: np.ndarray) -> np.ndarray:
    """The metric of two statistics that is the first sum by the second: [draws, 2] → [draws]; 0 by 0 is 0."""
    return np.divide(sums[:, 0], sums[:, 1], out=np.zeros(len(sums)), where=sums[:, 1] != 0)
