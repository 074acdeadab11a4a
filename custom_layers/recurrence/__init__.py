"""The time loop of a vanilla RNN: one function, dispatched to the fused version of the active Keras backend."""

from typing import Any

import keras

from . import fused, reference

__all__ = ["is_fused", "recurrence"]


def recurrence(
    projected: Any,
    initial_state: Any,
    recurrent_kernel: Any,
    activation: Any = "tanh",
    reset: Any = None,
    mask: Any = None,
    *,
    recurrent_dropout_mask: Any = None,
    unroll: bool = False,
    time_major: bool = False,
) -> Any:
    """Run the recurrence over all timesteps and return every state.

    For t = 0 … timesteps - 1, with h_{-1} = `initial_state`, W = `recurrent_kernel`, D = `recurrent_dropout_mask`:

        h'  = 0 where reset_t, else h_{t-1}
        h_t = activation(projected_t + (h' ∘ D) W)   where mask_t, else h'

    A reset at a masked timestep still zeroes the state. The final state is the last of the states returned.
    The gradient with respect to `projected`, `initial_state` and `recurrent_kernel` is exact, and is cut at a reset.
    Activations of `fused.ACTIVATIONS` run fused on TensorFlow and JAX; anything else runs `reference`'s loop.

    Args:
        projected: float `[batch, timesteps, units]`, x U + b for every timestep.
        initial_state: float `[batch, units]`.
        recurrent_kernel: float `[units, units]`.
        activation: name or callable, as `keras.activations.get` takes it; None is linear.
        reset: bool `[batch, timesteps]` or None: zero the state before this step.
        mask: bool `[batch, timesteps]` or None: False carries the state over this step.
        recurrent_dropout_mask: float `[batch, units]` or None: factors on the state wherever it meets W; a constant.
        unroll: write the loop out; `timesteps` must then be static.
        time_major: the first two axes of `projected`, `reset`, `mask` and the result are `[timesteps, batch]`.

    Returns:
        float `[batch, timesteps, units]`, the state after each timestep, in the dtype of `projected`.

    Example:
        >>> import numpy as np
        >>> states = recurrence(np.ones((1, 3, 2), "float32"), np.zeros((1, 2), "float32"), np.eye(2, dtype="float32"))
        >>> tuple(states.shape)
        (1, 3, 2)

    Source:
        Elman (1990), Finding Structure in Time; Goodfellow et al. (2016), Deep Learning, equations 10.8 and 10.9.
    """
    projected = keras.ops.convert_to_tensor(projected)
    dtype = keras.backend.standardize_dtype(projected.dtype)
    initial_state = keras.ops.convert_to_tensor(initial_state, dtype=dtype)
    recurrent_kernel = keras.ops.convert_to_tensor(recurrent_kernel, dtype=dtype)
    if not time_major:
        projected = keras.ops.transpose(projected, (1, 0, 2))  # [timesteps, batch, units]
    reset = _per_step(reset, time_major)  # [timesteps, batch, 1]
    mask = _per_step(mask, time_major)  # [timesteps, batch, 1]
    arguments = (projected, initial_state, recurrent_kernel, reset, mask, recurrent_dropout_mask)

    backend: Any = _backend_module()
    if backend is not None and is_fused(activation):
        states = backend.recurrence(*arguments, activation=fused.name_of(activation), unroll=unroll)
    else:
        scan = keras.ops.scan if backend is None else backend.scan
        states = reference.recurrence(*arguments, activation=activation, unroll=unroll, scan=scan)
    return states if time_major else keras.ops.transpose(states, (1, 0, 2))


def is_fused(activation: Any) -> bool:
    """Say whether this activation runs fused on the active backend.

    Args:
        activation: name or callable, as for `recurrence`.

    Returns:
        False when `recurrence` would take the reference loop.
    """
    return keras.backend.backend() in ("tensorflow", "jax") and fused.name_of(activation) is not None


def _per_step(flags: Any, time_major: bool) -> Any:
    """Bring bool `[batch, timesteps]` (or None) to `[timesteps, batch, 1]`."""
    if flags is None:
        return None
    flags = keras.ops.convert_to_tensor(flags, dtype="bool")
    if not time_major:
        flags = keras.ops.transpose(flags)  # [timesteps, batch]
    return keras.ops.expand_dims(flags, -1)  # [timesteps, batch, 1]


def _backend_module() -> Any:
    """Import the active backend's loop, and only that one; None for a backend that has none."""
    name = keras.backend.backend()
    if name == "tensorflow":
        from . import tensorflow as tensorflow_loop

        return tensorflow_loop
    if name == "jax":
        from . import jax as jax_loop

        return jax_loop
    return None
