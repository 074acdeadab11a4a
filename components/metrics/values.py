"""Figures of predicted real values."""

from __future__ import annotations

import numpy as np

from components.metrics.bootstrap import measured, ratio
from components.metrics.measured import Measured


def value_metrics(squared: np.ndarray, absolute: np.ndarray, counts: np.ndarray) -> dict[str, Measured]:
    """Mean squared and mean absolute error with their intervals.

    Args:
        squared, absolute: Sums of the errors of each example, float [examples].
        counts: How many values those are, int [examples].
    """
    return {
        "mse": measured(np.stack([squared, counts], axis=1), ratio),
        "mae": measured(np.stack([absolute, counts], axis=1), ratio),
    }
