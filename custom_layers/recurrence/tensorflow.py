"""The fused recurrence for TensorFlow: a custom gradient around two while loops that XLA compiles."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from . import fused


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: tuple[Any, ...],
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """Carry a tensor through time, as `jax.lax.scan` does.

    Unlike `keras.ops.scan` it bounds the loop, which XLA needs to differentiate it, and passes None inputs through.

    Args:
        step: `(carry, inputs_t) -> (carry, output_t)`; output_t has the shape and dtype of carry.
        carry: tensor.
        inputs: tensors `[timesteps, …]` or None; the first is a tensor.
        reverse: run from the last timestep to the first; outputs stay in the order of time.
        unroll: write the loop out; needs a static number of timesteps. One static timestep is never a loop.

    Returns:
        The last carry, and the outputs `[timesteps, …]`.
    """

    def at(t: Any) -> tuple[Any, ...]:
        return tuple(None if x is None else x[t] for x in inputs)

    static = inputs[0].shape[0]
    if static is not None and (unroll or static == 1):
        outputs = [None] * static
        for t in reversed(range(static)) if reverse else range(static):
            carry, outputs[t] = step(carry, at(t))
        return carry, tf.stack(outputs)

    timesteps = tf.shape(inputs[0])[0] if static is None else static
    array = tf.TensorArray(carry.dtype, size=timesteps, element_shape=carry.shape)

    def body(i: Any, carry: Any, array: Any) -> tuple[Any, Any, Any]:
        t = timesteps - 1 - i if reverse else i
        new_carry, output = step(carry, at(t))
        return i + 1, tf.ensure_shape(new_carry, carry.shape), array.write(t, output)

    _, carry, array = tf.while_loop(
        lambda i, *_: i < timesteps, body, (tf.constant(0), carry, array), maximum_iterations=timesteps
    )
    return carry, array.stack()


def recurrence(
    projected: Any,
    initial_state: Any,
    recurrent_kernel: Any,
    reset: Any,
    mask: Any,
    recurrent_dropout_mask: Any,
    *,
    activation: str,
    unroll: bool,
) -> Any:
    """Return every state, with the fused gradient attached.

    Args:
        projected: float `[timesteps, batch, units]`; the other arguments as in `fused`.

    Returns:
        float `[timesteps, batch, units]`.
    """
    constants = (reset, mask, recurrent_dropout_mask)

    @tf.custom_gradient
    def run(projected: Any, initial_state: Any, recurrent_kernel: Any) -> tuple[Any, Callable[[Any], Any]]:
        states = fused.forward(
            scan, projected, initial_state, recurrent_kernel, *constants, activation=activation, unroll=unroll
        )

        def gradient(d_states: Any) -> tuple[Any, Any, Any]:
            known = (states, initial_state, recurrent_kernel, *constants)
            return fused.backward(scan, d_states, *known, activation=activation, unroll=unroll)

        return states, gradient

    # Variables read as tensors: a custom gradient would ask for theirs apart.
    return run(*map(tf.convert_to_tensor, (projected, initial_state, recurrent_kernel)))
