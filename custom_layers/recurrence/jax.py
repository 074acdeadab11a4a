"""The fused recurrence for JAX: a custom VJP around two loops that XLA compiles."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jax import lax

from . import fused

UNROLL = 4  # timesteps written out per turn of the loop: fewer, larger turns, the same numbers


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: tuple[Any, ...],
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """Carry an array through time, as `jax.lax.scan` does, with the outputs taking the place of the first input.

    So there is no buffer of zeros to make and fill for each loop. It is not meant to be differentiated.

    Args:
        step: `(carry, inputs_t) -> (carry, output_t)`; output_t has the shape and dtype of carry.
        carry: array.
        inputs: arrays `[timesteps, …]` or None; a timestep of the first has the shape and dtype of carry.
        reverse: run from the last timestep to the first; outputs stay in the order of time.
        unroll: write the whole loop out instead of `UNROLL` timesteps at a time.

    Returns:
        The last carry, and the outputs `[timesteps, …]`.
    """
    first: Any = inputs[0]
    others = inputs[1:]
    timesteps = first.shape[0]
    size = timesteps if unroll else min(UNROLL, timesteps)
    turns, rest = divmod(timesteps, size)

    def turn(start: Any, size: int, carry: Any, array: Any) -> tuple[Any, Any]:
        read = [None if x is None else lax.dynamic_slice_in_dim(x, start, size) for x in (array, *others)]
        outputs = [None] * size
        for k in reversed(range(size)) if reverse else range(size):
            carry, outputs[k] = step(carry, tuple(None if x is None else x[k] for x in read))
        return carry, lax.dynamic_update_slice_in_dim(array, jax.numpy.stack(outputs), start, axis=0)

    def whole_turn(i: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        return turn((turns - 1 - i if reverse else i) * size, size, *state)

    state = (carry, first)
    if rest and reverse:
        state = turn(turns * size, rest, *state)
    state = lax.fori_loop(0, turns, whole_turn, state)
    if rest and not reverse:
        state = turn(turns * size, rest, *state)
    return state


reference_scan = lax.scan  # JAX differentiates it in linear memory


# All three are compiled functions, so that eager calls do not compile their loops anew each time.
@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _fused(activation: str, unroll: bool, *arguments: Any) -> Any:
    return fused.forward(scan, *arguments, activation=activation, unroll=unroll)


@partial(jax.jit, static_argnums=(0, 1))
def _fused_forward(activation: str, unroll: bool, projected: Any, *others: Any) -> tuple[Any, Any]:
    states = fused.forward(scan, projected, *others, activation=activation, unroll=unroll)
    return states, (states, *others)


@partial(jax.jit, static_argnums=(0, 1))
def _fused_backward(activation: str, unroll: bool, known: tuple[Any, ...], d_states: Any) -> tuple[Any, ...]:
    gradients = fused.backward(scan, d_states, *known, activation=activation, unroll=unroll)
    return (*gradients, None, None, None)  # reset, mask and recurrent_dropout_mask are constants


_fused.defvjp(_fused_forward, _fused_backward)
_compiled = jax.jit(_fused, static_argnums=(0, 1))


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
    return _compiled(
        activation, unroll, projected, initial_state, recurrent_kernel, reset, mask, recurrent_dropout_mask
    )
