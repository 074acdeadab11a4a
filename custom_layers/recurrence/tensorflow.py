"""The fused recurrence for TensorFlow: a custom gradient around two while loops that XLA compiles."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from . import fused

BLOCK = 2  # timesteps written out per turn of the loop: XLA's turns are dear; more than two gain nothing


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: tuple[Any, ...],
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """Carry a tensor through time, as `jax.lax.scan` does.

    Unlike `keras.ops.scan` it bounds the loop, which XLA needs to differentiate it, takes `BLOCK` timesteps a turn, and
    passes None inputs through.

    Args:
        step: `(carry, inputs_t) -> (carry, output_t)`; output_t has the shape and dtype of carry.
        carry: tensor.
        inputs: tensors `[timesteps, …]` or None; the first is a tensor.
        reverse: run from the last timestep to the first; outputs stay in the order of time.
        unroll: write the loop out, if the number of timesteps is static.

    Returns:
        The last carry, and the outputs `[timesteps, …]`.
    """
    first: Any = inputs[0]
    timesteps = first.shape[0]
    block = 1 if timesteps is None else timesteps if unroll else min(BLOCK, timesteps)
    cut = None if timesteps is None else timesteps - timesteps % block
    if cut == timesteps:
        return _scan_blocks(step, carry, inputs, reverse, block)

    # What fills no block is the end of time.
    whole, rest = (tuple(None if x is None else x[part] for x in inputs) for part in (slice(cut), slice(cut, None)))
    if reverse:
        carry, late = _scan_blocks(step, carry, rest, reverse, timesteps - cut)
        carry, early = _scan_blocks(step, carry, whole, reverse, block)
    else:
        carry, early = _scan_blocks(step, carry, whole, reverse, block)
        carry, late = _scan_blocks(step, carry, rest, reverse, timesteps - cut)
    return carry, tf.concat([early, late], axis=0)


def _scan_blocks(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, inputs: Sequence[Any], reverse: bool, block: int
) -> tuple[Any, Any]:
    """Scan a multiple of `block` timesteps, a block a turn; one static turn is no loop."""
    blocks = [None if x is None else _fold(x, block) for x in inputs]  # [turns, block, …]
    first: Any = blocks[0]

    def scan_block(turn: Any, carry: Any) -> tuple[Any, Any]:
        read = [None if x is None else x[turn] for x in blocks]  # [block, …]
        outputs = [None] * block
        for k in reversed(range(block)) if reverse else range(block):
            carry, outputs[k] = step(carry, tuple(None if x is None else x[k] for x in read))
        return carry, tf.stack(outputs)  # [block, …]

    if first.shape[0] == 1:
        return scan_block(0, carry)

    turns = first.shape[0] or tf.shape(first)[0]
    array = tf.TensorArray(carry.dtype, size=turns, element_shape=[block, *carry.shape])

    def body(i: Any, carry: Any, array: Any) -> tuple[Any, Any, Any]:
        turn = turns - 1 - i if reverse else i
        new_carry, outputs = scan_block(turn, carry)
        return i + 1, tf.ensure_shape(new_carry, carry.shape), array.write(turn, outputs)

    _, carry, array = tf.while_loop(
        lambda i, *_: i < turns, body, (tf.constant(0), carry, array), maximum_iterations=turns
    )
    outputs = array.stack()  # [turns, block, …]
    return carry, tf.reshape(outputs, tf.concat([[-1], tf.shape(outputs)[2:]], axis=0))  # [timesteps, …]


def _fold(x: Any, block: int) -> Any:
    """Reshape `[timesteps, …]` to `[timesteps / block, block, …]`."""
    return tf.reshape(x, tf.concat([[-1, block], tf.shape(x)[1:]], axis=0))


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
