"""How far predicted numbers are from the true ones: statistics of MSE and MAE, for `bootstrap.ratio`."""

from __future__ import annotations

import math

import numpy as np


def squared_errors(targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The statistics of the MSE, example by example.

    Args:
        targets: True values [examples, ...].
        predictions: Predicted values, of the same shape.

    Returns:
        Sum of (prediction - target)² over the values of each example, and their number: float64 [examples, 2].

    Raises:
        ValueError: The shapes differ.
    """
    return _summed("squared_errors", targets, predictions, np.square)


def absolute_errors(targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """The statistics of the MAE: as `squared_errors`, with |prediction - target|."""
    return _summed("absolute_errors", targets, predictions, np.abs)


def _summed(owner: str, targets: np.ndarray, predictions: np.ndarray, size: np.ufunc) -> np.ndarray:
    # Equal shapes, not shapes that broadcast: [n, 1] against [n] would compare every value with every other.
    if np.ndim(targets) < 1 or np.shape(targets) != np.shape(predictions):
        raise ValueError(
            f"{owner}: targets and predictions must have the same shape, examples first. Received: "
            f"{np.shape(targets)} and {np.shape(predictions)}. Reshape one to the other."
        )
    # In float64 from the start: the errors of a good model are small beside float32's rounding of the squares.
    errors = size(np.asarray(predictions, np.float64) - np.asarray(targets, np.float64))
    errors = errors.reshape(len(errors), math.prod(errors.shape[1:]))
    return np.stack([errors.sum(axis=1), np.full(len(errors), errors.shape[1], np.float64)], axis=1)
