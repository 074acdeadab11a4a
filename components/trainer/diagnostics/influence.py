"""How much a state of long ago still decides the loss: the norm of the gradient by lag, and what it amounts to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Influence below this share of that at lag 0 counts as none.
FORGOTTEN = 0.01


def rows_reached(reset: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Which rows tell something about each lag: bool [lags, batch], lags 0 … timesteps - 1.

    Args:
        reset: bool [batch, timesteps].
        counted: bool [batch]: rows that have a loss at the last step.

    Returns:
        True where the row has no reset between h_{t-lag} and the last step t.
    """
    backwards = reset[:, ::-1]  # [batch, timesteps], the last step first
    # h_{t-k} is cut off by a reset at t, t - 1, … or t - k + 1.
    cut = np.cumsum(backwards, axis=1)[:, :-1] > 0
    reached = ~np.concatenate([np.zeros((len(reset), 1), bool), cut], axis=1)
    return (reached & counted[:, None]).T


def by_lag(state_gradient: np.ndarray, reached: np.ndarray) -> np.ndarray:
    """‖∂L_t/∂h_{t-k}‖ for k = 0 … timesteps - 1, t the last step: the root of the mean square over rows.

    Args:
        state_gradient: dL/dh of a layer, float [batch, timesteps, units].
        reached: bool [lags, batch], see `rows_reached`; the other rows do not count.

    Returns:
        float64 [lags], NaN at a lag that no row reaches.
    """
    squares = np.square(state_gradient.astype(np.float64)).sum(axis=-1)[:, ::-1].T  # [lags, batch]
    rows = reached.sum(axis=1)
    sums = np.where(reached, squares, 0.0).sum(axis=1)
    return np.sqrt(np.divide(sums, rows, out=np.full(len(rows), np.nan), where=rows > 0))


@dataclass(frozen=True)
class Reach:
    """What a curve of influence by lag amounts to.

    Attributes:
        memory_length: First lag from which on influence stays under `FORGOTTEN` of that at lag 0; None if it does not
            come to that within the lags measured, or is not finite.
        factor: What influence is multiplied by at each step back: e to the slope of a straight line through its
            logarithm, from lag 0 to where it is forgotten; None where there is no line to draw.
        half_life: Steps over which influence falls by half, ln ½ / ln factor; None if it does not fall.
    """

    memory_length: int | None
    factor: float | None
    half_life: float | None


def reach(influence: Sequence[float] | np.ndarray) -> Reach:
    """Sums up a curve of influence by lag, [lags].

    A lag that no row reaches ends the curve.
    """
    curve = np.asarray(influence, np.float64)
    ends = np.flatnonzero(np.isnan(curve))
    curve = curve[: ends[0]] if len(ends) else curve
    if not len(curve) or not np.isfinite(curve).all():
        return Reach(None, None, None)
    if curve[0] == 0:
        return Reach(0, None, None)
    remembered = int(np.flatnonzero(curve >= FORGOTTEN * curve[0])[-1])
    memory_length = remembered + 1 if remembered + 1 < len(curve) else None
    lags = np.arange(remembered + 1 if memory_length is None else remembered + 2)
    lags = lags[curve[lags] > 0]
    if len(lags) < 2:
        return Reach(memory_length, None, None)
    slope = float(np.polyfit(lags, np.log(curve[lags]), 1)[0])
    return Reach(memory_length, math.exp(slope), math.log(0.5) / slope if slope < 0 else None)
