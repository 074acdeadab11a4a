"""Gradients with respect to the states, from those with respect to the model's probes."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from components.tasks.language_model import LanguageModel


def zero_probes(model: LanguageModel, batch: int, timesteps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The probes to differentiate by: zeros (offset, shift), float32 [batch, timesteps, units], for each layer."""
    zeros = np.zeros((batch, timesteps, model.units), np.float32)
    return [(zeros, zeros) for _ in range(model.num_layers)]


def state_gradient(recurrent_kernel: Any, offset_gradient: Any, shift_gradient: Any, reset: Any) -> Any:
    """dL/dh_t along every path, of one layer: dL/dshift_t + dL/da_{t+1} Wᵀ, the latter unless reset_{t+1}.

    Without recurrent dropout, which would stand between h_t and W.

    Args:
        recurrent_kernel: W, float [units, units].
        offset_gradient: dL/doffset_t = dL/da_t, float [batch, timesteps, units].
        shift_gradient: dL/dshift_t, float [batch, timesteps, units].
        reset: bool [batch, timesteps].

    Returns:
        float [batch, timesteps, units]. At the last step there is nothing after it.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, equation 10.20.
    """
    chain = ops.matmul(offset_gradient[:, 1:], ops.transpose(recurrent_kernel))  # [batch, timesteps - 1, units]
    chain = ops.where(reset[:, 1:, None], ops.zeros_like(chain), chain)
    return shift_gradient + ops.pad(chain, [[0, 0], [0, 1], [0, 0]])  # [batch, timesteps, units]
