"""The recurrence as its definition reads: the specification that the fused versions are tested against."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def recurrence(
    projected: Any,
    initial_state: Any,
    recurrent_kernel: Any,
    reset: Any = None,
    mask: Any = None,
    recurrent_dropout_mask: Any = None,
    *,
    activation: Any = "tanh",
    unroll: bool = False,
    scan: Callable[..., Any] = ops.scan,
) -> Any:
    """Return every state of the recurrence, one step after the other; gradients are left to the backend.

    The equation and the arguments are those of `custom_layers.recurrence.recurrence`, in time-major order.

    Args:
        projected: float `[timesteps, batch, units]`.
        initial_state: float `[batch, units]`.
        recurrent_kernel: float `[units, units]`.
        reset: bool `[timesteps, batch, 1]` or None.
        mask: bool `[timesteps, batch, 1]` or None.
        recurrent_dropout_mask: float `[batch, units]` or None.
        activation: name or callable.
        unroll: write the loop out.
        scan: a function with `keras.ops.scan`'s signature.

    Returns:
        float `[timesteps, batch, units]`.
    """
    activation = keras.activations.get(activation)
    flags = projected[:, :, :1]  # [timesteps, batch, 1]
    reset = ops.zeros_like(flags, dtype="bool") if reset is None else reset
    mask = ops.ones_like(flags, dtype="bool") if mask is None else mask

    def step(state: Any, inputs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        projected_t, reset_t, mask_t = inputs  # [batch, units], [batch, 1], [batch, 1]
        state = ops.where(reset_t, ops.zeros_like(state), state)  # [batch, units]
        recurrent = state if recurrent_dropout_mask is None else state * recurrent_dropout_mask  # [batch, units]
        candidate = activation(projected_t + ops.matmul(recurrent, recurrent_kernel))  # [batch, units]
        state = ops.where(mask_t, candidate, state)  # [batch, units]
        return state, state

    _, states = scan(step, initial_state, (projected, reset, mask), unroll=unroll)
    return states
