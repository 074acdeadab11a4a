"""What state the units are in: saturated, dead, small or large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BINS = 40

# Activation → where its output lets (nearly) no gradient through. Of relu: h = 0.
SATURATED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": lambda h: np.abs(h) > 0.99,
    "sigmoid": lambda h: (h < 0.01) | (h > 0.99),
    "hard_sigmoid": lambda h: (h <= 0) | (h >= 1),
    "relu": lambda h: h <= 0,
    "linear": lambda h: np.zeros(h.shape, bool),
}
_RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0)}


def activity(states: np.ndarray, activation: str) -> dict[str, Any]:
    """Statistics of a layer's states.

    Args:
        states: float [positions, units].
        activation: Its name in Keras.

    Returns:
        `mean`, `std`: over positions and units. `norm`: mean of ‖h_t‖ over positions.
        `saturated`: share of states where the activation lets nearly no gradient through, see `SATURATED`; None for
        another activation. `dead`: of relu units, the share that is 0 at every position; None for others.
        `histogram`: `low`, `high` and `shares` of `BINS` bins of equal width between them.
    """
    h = states.astype(np.float64)
    if not h.size or not np.isfinite(h).all():
        return dict.fromkeys(("mean", "std", "norm", "saturated", "dead", "histogram"))
    low, high = _RANGES.get(activation, (float(h.min()), float(h.max())))
    counts, edges = np.histogram(h, bins=BINS, range=(low, high))
    return {
        "mean": float(h.mean()),
        "std": float(h.std()),
        "norm": float(np.linalg.norm(h, axis=1).mean()),
        "saturated": float(SATURATED[activation](h).mean()) if activation in SATURATED else None,
        "dead": float((h <= 0).all(axis=0).mean()) if activation == "relu" else None,
        "histogram": {"low": float(edges[0]), "high": float(edges[-1]), "shares": (counts / h.size).tolist()},
    }
