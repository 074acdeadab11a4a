"""The regulariser Ω of Pascanu, Mikolov and Bengio: keeps the gradient's norm as it goes back through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from components.trainer.probes import state_gradient

# A gradient below this has vanished altogether; its direction is rounding.
_NOTHING = 1e-30


def penalty(recurrent_kernel: Any, total_gradient: Any, preactivation_gradient: Any, reset: Any) -> Any:
    """Says how much the norm of the gradient changes from one step to the one before, for one layer.

        Ω = mean of (‖dL/dh_t ∂h_t/∂h_{t-1}‖ / ‖dL/dh_t‖ - 1)²,    dL/dh_t ∂h_t/∂h_{t-1} = dL/da_t Wᵀ

    over the steps of all rows but those with a reset at t, where no gradient goes back, and those where dL/dh_t is 0.
    Everything but W is a constant: only the immediate derivative ∂⁺Ω/∂W is used, as in the paper (which sums over the
    steps of one sequence; a mean does not depend on the window's length).

    Args:
        recurrent_kernel: W, float [units, units].
        total_gradient: dL/dh_t along every path, float [batch, timesteps, units], see `probes.state_gradient`.
        preactivation_gradient: dL/da_t, float [batch, timesteps, units].
        reset: bool [batch, timesteps].

    Returns:
        Ω, a scalar in the dtype of W; 0 if there is no such step.

    Source: Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural networks, equations 9
        and 10.
    """
    dtype = keras.backend.standardize_dtype(recurrent_kernel.dtype)
    d_state, d_activation = (
        ops.stop_gradient(ops.cast(gradient, dtype)) for gradient in (total_gradient, preactivation_gradient)
    )
    # Both are divided by the largest element of dL/dh_t: the square of a small gradient would be 0.
    scale = ops.max(ops.abs(d_state), axis=-1, keepdims=True)  # [batch, timesteps, 1]
    something = scale > _NOTHING
    counted = ops.logical_and(something[:, :, 0], ops.logical_not(reset))  # [batch, timesteps]
    scale = ops.where(something, scale, ops.ones_like(scale))
    before = _norm(ops.matmul(d_activation / scale, ops.transpose(recurrent_kernel)))  # [batch, timesteps]
    after = _norm(d_state / scale)  # [batch, timesteps], at least 1 where counted
    change = before / ops.where(counted, after, ops.ones_like(after)) - 1
    squares = ops.where(counted, ops.square(change), ops.zeros_like(change))
    return ops.sum(squares) / ops.maximum(ops.sum(ops.cast(counted, dtype)), 1)


def total_penalty(recurrent_kernels: Sequence[Any], probe_gradients: Sequence[tuple[Any, Any]], reset: Any) -> Any:
    """Ω of all layers together.

    Args:
        recurrent_kernels: W of each layer.
        probe_gradients: dL/d(offset, shift) of each layer, see `LanguageModel.call`.
        reset: bool [batch, timesteps].
    """
    return sum(
        penalty(kernel, state_gradient(kernel, offset, shift, reset), offset, reset)
        for kernel, (offset, shift) in zip(recurrent_kernels, probe_gradients, strict=True)
    )


def _norm(vectors: Any) -> Any:
    """Norms over the last axis, whose derivative at 0 is 0 and not NaN."""
    squares = ops.sum(ops.square(vectors), axis=-1)
    positive = squares > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, ops.ones_like(squares))), ops.zeros_like(squares))
