"""The maths of the fused recurrence, forward and backward, once for every backend.

Each function takes the backend's `scan` (the signature of `jax.lax.scan`) and time-major tensors:
projected, states `[timesteps, batch, units]`; reset, mask `[timesteps, batch, 1]` or None; the rest as in the dispatch.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def _tanh(a: Any) -> Any:
    """Compute tanh in the dtype of a; `keras.ops.tanh` rounds float64 to float32 on JAX."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.numpy.tanh(a)
    return ops.tanh(a)


def _relu(a: Any) -> Any:
    """Compute max(a, 0), NaN where a is; not by `ops.relu`, which XLA joins with the product before it on a CPU: into a
    call whose fixed cost made a timestep of 32×100 eleven times as long."""
    return ops.where(a <= 0, ops.zeros_like(a), a)


# name → (activation of a, its derivative expressed in the output h)
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (_tanh, lambda h: 1 - h * h),
    "relu": (_relu, lambda h: ops.cast(h > 0, h.dtype)),
    "sigmoid": (ops.sigmoid, lambda h: h * (1 - h)),
    "hard_sigmoid": (ops.hard_sigmoid, lambda h: ops.cast(ops.logical_and(h > 0, h < 1), h.dtype) / 6),
    "linear": (lambda a: a, ops.ones_like),
}


def name_of(activation: Any) -> str | None:
    """Return the key of `ACTIVATIONS` that this activation is, or None.

    Args:
        activation: name or callable, as `keras.activations.get` takes it.
    """
    function = keras.activations.get(activation)
    for name in ACTIVATIONS:
        if function is getattr(keras.activations, name):
            return name
    return None


def forward(
    scan: Callable[..., Any],
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
    """Return every state: the loop multiplies by the recurrent kernel and nothing else.

    Returns:
        float `[timesteps, batch, units]`.
    """
    activate, _ = ACTIVATIONS[activation]

    def step(state: Any, inputs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        projected_t, reset_t, mask_t = inputs  # [batch, units], [batch, 1], [batch, 1]
        if reset_t is not None:
            state = ops.where(reset_t, ops.zeros_like(state), state)  # [batch, units]; also where it was NaN
        recurrent = state if recurrent_dropout_mask is None else state * recurrent_dropout_mask  # [batch, units]
        candidate = activate(projected_t + ops.matmul(recurrent, recurrent_kernel))  # [batch, units]
        state = candidate if mask_t is None else ops.where(mask_t, candidate, state)  # [batch, units]
        return state, state

    _, states = scan(step, initial_state, (projected, reset, mask), unroll=unroll)
    return states


def backward(
    scan: Callable[..., Any],
    d_states: Any,
    states: Any,
    initial_state: Any,
    recurrent_kernel: Any,
    reset: Any,
    mask: Any,
    recurrent_dropout_mask: Any,
    *,
    activation: str,
    unroll: bool,
) -> tuple[Any, Any, Any]:
    """Return the gradients of the loss: the loop computes only the chain dA_t, the kernel's gradient is one product.

        dH_t = dL/dh_t + chain_{t+1}
        dA_t = dH_t ∘ activation'(h_t)                    (0 where masked)
        chain_t = (dA_t Wᵀ) ∘ D                           (dH_t where masked; then 0 where reset)
        dW = Σ_t (h'_{t-1} ∘ D)ᵀ dA_t                     (h' is the previous state after the reset)

    Args:
        d_states: float `[timesteps, batch, units]`, dL/dh_t from outside the loop.
        states: what `forward` returned.

    Returns:
        Gradients with respect to projected `[timesteps, batch, units]`, initial_state `[batch, units]` and
        recurrent_kernel `[units, units]`.

    Source:
        Goodfellow et al. (2016), Deep Learning, equations 10.20, 10.21 and 10.26.
    """
    _, derivative = ACTIVATIONS[activation]
    transposed_kernel = ops.transpose(recurrent_kernel)  # [units, units]

    def step(chain: Any, inputs: tuple[Any, Any, Any, Any]) -> tuple[Any, Any]:
        d_state, state, reset_t, mask_t = inputs  # [batch, units] twice, [batch, 1] twice
        d_state = d_state + chain  # [batch, units]
        d_activation = d_state * derivative(state)  # [batch, units]
        if mask_t is not None:
            d_activation = ops.where(mask_t, d_activation, ops.zeros_like(d_activation))
        chain = ops.matmul(d_activation, transposed_kernel)  # [batch, units]
        if recurrent_dropout_mask is not None:
            chain = chain * recurrent_dropout_mask
        if mask_t is not None:
            chain = ops.where(mask_t, chain, d_state)
        if reset_t is not None:
            chain = ops.where(reset_t, ops.zeros_like(chain), chain)
        return chain, d_activation

    inputs = (d_states, states, reset, mask)
    d_initial, d_projected = scan(step, ops.zeros_like(initial_state), inputs, reverse=True, unroll=unroll)

    units = recurrent_kernel.shape[0]
    previous = ops.concatenate([initial_state[None], states[:-1]], axis=0)  # [timesteps, batch, units]
    if reset is not None:
        previous = ops.where(reset, ops.zeros_like(previous), previous)
    if recurrent_dropout_mask is not None:
        previous = previous * recurrent_dropout_mask
    previous = ops.reshape(previous, (-1, units))  # [timesteps · batch, units]
    # dWᵀ = Σ_t dA_tᵀ h'. Transposed before it is reshaped, dA is copied with the summed axis last; XLA would fold the
    # transpose of a matrix into the product, whose kernel for CPUs then reads it slowly (8 % of a step of 2×128).
    d_activations = ops.reshape(ops.transpose(d_projected, (2, 0, 1)), (units, -1))  # [units, timesteps · batch]
    d_kernel = ops.transpose(ops.matmul(d_activations, previous))  # [units, units]
    return d_projected, d_initial, d_kernel
