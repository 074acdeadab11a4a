"""What the demonstrations share: a layer with seeded weights, and the gradient of each of its states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from components.trainer.backend import compile_gradient
from components.trainer.probes import state_gradient
from custom_layers import VanillaRNN
from custom_layers.recurrence import recurrence


def rnn(units: int, features: int, seed: int, gain: float = 1.0, **arguments: Any) -> Any:
    """Builds a VanillaRNN with Keras' default initialisers, seeded; W is orthogonal times `gain`."""
    initializers = {
        "kernel_initializer": keras.initializers.GlorotUniform(seed=seed),
        "recurrent_initializer": keras.initializers.Orthogonal(gain, seed=seed + 1),
    }
    layer = VanillaRNN(units, **{**initializers, **arguments})
    layer.build((None, None, features))
    return layer


def state_gradients(layer: Any, sequences: np.ndarray, loss: Callable[[Any], Any]) -> np.ndarray:
    """dL/dh_t for every timestep, through the loss itself and through all later timesteps.

        h_t = activation(x_t U + b + offset_t + h_{t-1} W),  L = loss(h + shift),  both zero
        dL/dh_t = dL/dshift_t + (dL/doffset_{t+1}) Wᵀ

    Args:
        layer: VanillaRNN; its weights and activation are used.
        sequences: float32 [batch, timesteps, features].
        loss: States [batch, timesteps, units] → L, a scalar.

    Returns:
        float64 [batch, timesteps, units].
    """
    batch, timesteps, _ = sequences.shape
    cell = layer.cell

    def function(probes: Any, sequences: Any) -> Any:
        offset, shift = probes
        projected = ops.matmul(sequences, cell.kernel) + cell.bias + offset
        initial_state = ops.zeros((batch, layer.units))
        return loss(recurrence(projected, initial_state, cell.recurrent_kernel, layer.activation) + shift)

    zeros = np.zeros((batch, timesteps, layer.units), "float32")
    _, (offset, shift) = compile_gradient(layer, function)((zeros, zeros), sequences)
    never = np.zeros((batch, timesteps), bool)
    return to_numpy(state_gradient(to_numpy(cell.recurrent_kernel), to_numpy(offset), to_numpy(shift), never))


def to_numpy(value: Any) -> np.ndarray:
    """Turns a tensor into float64."""
    return np.asarray(ops.convert_to_numpy(value), np.float64)
