"""The fused recurrence for JAX: a custom VJP around two `lax.scan`s."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from . import fused

UNROLL = 4  # timesteps written out per turn of the loop: fewer kernel launches, the same numbers


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    carry: Any,
    inputs: tuple[Any, ...],
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Any, Any]:
    """Carry an array through time with `jax.lax.scan`.

    Args:
        step: `(carry, inputs_t) -> (carry, output_t)`.
        carry: array.
        inputs: arrays `[timesteps, …]` or None.
        reverse: run from the last timestep to the first; outputs stay in the order of time.
        unroll: write the whole loop out instead of `UNROLL` timesteps at a time (one, if their number is symbolic, as
            in an export for any length).

    Returns:
        The last carry, and the outputs `[timesteps, …]`.
    """
    turn: int | bool = UNROLL if isinstance(inputs[0].shape[0], int) else 1
    return jax.lax.scan(step, carry, inputs, reverse=reverse, unroll=unroll or turn)


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
