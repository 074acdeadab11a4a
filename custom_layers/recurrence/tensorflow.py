"""The fused recurrence for TensorFlow: a custom gradient around two while loops that XLA compiles."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from . import fused

UNROLL = 2  # timesteps written out per turn of the loop: a turn costs XLA some microseconds; four gain nothing over two


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: tuple[Any, ...],
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """Carry a tensor through time, as `jax.lax.scan` does, with the outputs taking the place of the first input.

    Unlike `keras.ops.scan` it bounds the loop, which XLA needs to differentiate it, and passes None inputs through.
    That outputs overwrite an input saves XLA a buffer of zeros for each loop, and the time to fill it.

    Args:
        step: `(carry, inputs_t) -> (carry, output_t)`; output_t has the shape and dtype of carry.
        carry: tensor.
        inputs: tensors `[timesteps, …]` or None; a timestep of the first has the shape and dtype of carry.
        reverse: run from the last timestep to the first; outputs stay in the order of time.
        unroll: write the loop out, if the number of timesteps is static. Otherwise `UNROLL` timesteps are one turn of
            the loop if their number is known to be a multiple of it, else a turn is one timestep.

    Returns:
        The last carry, and the outputs `[timesteps, …]`.
    """
    first: Any = inputs[0]
    timesteps = first.shape[0]
    if timesteps is None:
        size = 1
    elif unroll or timesteps <= UNROLL:
        size = timesteps
    else:
        size = 1 if timesteps % UNROLL else UNROLL
    first, *others = (None if x is None else _in_turns(x, size) for x in inputs)  # [turns, size, …]

    def turn(carry: Any, *read: Any) -> tuple[Any, Any]:
        outputs = [None] * size
        for k in reversed(range(size)) if reverse else range(size):
            carry, outputs[k] = step(carry, tuple(None if x is None else x[k] for x in read))
        return carry, tf.stack(outputs)  # [size, …]

    if first.shape[0] == 1:
        return turn(carry, *(None if x is None else x[0] for x in (first, *others)))

    turns = first.shape[0] or tf.shape(first)[0]
    array = tf.TensorArray(carry.dtype, size=turns, element_shape=[size, *carry.shape]).unstack(first)

    def body(i: Any, carry: Any, array: Any) -> tuple[Any, Any, Any]:
        t = turns - 1 - i if reverse else i
        new_carry, outputs = turn(carry, array.read(t), *(None if x is None else x[t] for x in others))
        return i + 1, tf.ensure_shape(new_carry, carry.shape), array.write(t, outputs)

    _, carry, array = tf.while_loop(
        lambda i, *_: i < turns, body, (tf.constant(0), carry, array), maximum_iterations=turns
    )
    outputs = array.stack()  # [turns, size, …]
    return carry, tf.reshape(outputs, tf.concat([[-1], tf.shape(outputs)[2:]], axis=0))  # [timesteps, …]


def _in_turns(x: Any, size: int) -> Any:
    """Reshape `[timesteps, …]` to `[timesteps / size, size, …]`."""
    # Said, where it is known: -1 beside a batch of any size would leave it open, and a single turn needs no loop.
    turns = -1 if x.shape[0] is None else x.shape[0] // size
    return tf.reshape(x, tf.concat([[turns, size], tf.shape(x)[1:]], axis=0))


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
