"""Weights in and out of PyTorch's nn.RNN; PyTorch itself is not needed.

nn.RNN computes h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), with matrices that multiply from the left and two
biases that only ever act as their sum:

    kernel            U  [features, units]  =  weight_ihᵀ
    recurrent_kernel  W  [units, units]     =  weight_hhᵀ
    bias              b  [units]            =  bias_ih + bias_hh
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def from_torch(parameters: Mapping[str, Any], layer: int = 0, reverse: bool = False) -> list[np.ndarray]:
    """Turn the parameters of one layer of an nn.RNN into a VanillaRNN's weights.

    Args:
        parameters: `rnn.state_dict()` (float32 or float64), or any mapping of its names to arrays.
        layer: number of the layer, from 0.
        reverse: take the backward direction of a bidirectional nn.RNN.

    Returns:
        kernel `[features, units]`, recurrent_kernel `[units, units]` and, unless the nn.RNN was made with
        `bias=False`, bias `[units]`: what `VanillaRNN.set_weights` takes.

    Raises:
        ValueError: the mapping lacks a parameter of that layer.

    Example:
        >>> names = {"weight_ih_l0": np.ones((2, 3)), "weight_hh_l0": np.eye(2)}
        >>> [weight.shape for weight in from_torch(names)]
        [(3, 2), (2, 2)]

    Source:
        PyTorch 2, documentation of torch.nn.RNN, "Variables".
    """
    names = _names(layer, reverse)
    missing = [name for name in names[:2] if name not in parameters]
    if missing:
        raise ValueError(
            f"from_torch: parameters must hold {' and '.join(names[:2])}. Received: parameters={sorted(parameters)}. "
            "Pass the state_dict() of an nn.RNN, and a layer that it has."
        )
    # Copies: what is trained here must not change the nn.RNN that it came from.
    weights = [np.asarray(parameters[name]).T.copy() for name in names[:2]]
    biases = [np.asarray(parameters[name]) for name in names[2:] if name in parameters]
    if len(biases) == 1:
        raise ValueError(
            f"from_torch: parameters must hold both {' and '.join(names[2:])}, or neither. Received: "
            f"parameters={sorted(parameters)}. Pass the state_dict() of an nn.RNN as it is."
        )
    return [*weights, np.sum(biases, axis=0)] if biases else weights


def to_torch(weights: Sequence[Any], layer: int = 0, reverse: bool = False) -> dict[str, np.ndarray]:
    """Turn a VanillaRNN's weights into the parameters of one layer of an nn.RNN.

    Args:
        weights: what `VanillaRNN.get_weights` returns: kernel, recurrent_kernel and, if it has one, bias.
        layer: number of the layer, from 0.
        reverse: name them as the backward direction of a bidirectional nn.RNN.

    Returns:
        Name → array; the whole bias is `bias_ih`, `bias_hh` is zero. For nn.RNN:
        `rnn.load_state_dict({name: torch.from_numpy(array) for name, array in ….items()})`.

    Raises:
        ValueError: there are not two or three weights.

    Example:
        >>> sorted(to_torch([np.ones((3, 2)), np.eye(2)]))
        ['weight_hh_l0', 'weight_ih_l0']

    Source:
        PyTorch 2, documentation of torch.nn.RNN, "Variables".
    """
    if len(weights) not in (2, 3):
        raise ValueError(
            "to_torch: weights must be kernel, recurrent_kernel and perhaps bias. Received: len(weights)="
            f"{len(weights)}. Pass the get_weights() of one VanillaRNN."
        )
    arrays = [np.ascontiguousarray(np.asarray(weight).T) for weight in weights[:2]]
    if len(weights) == 3:
        bias = np.asarray(weights[2])
        arrays += [bias, np.zeros_like(bias)]
    return dict(zip(_names(layer, reverse), arrays, strict=False))  # two names too many where there is no bias


def _names(layer: int, reverse: bool) -> list[str]:
    suffix = f"_l{layer}{'_reverse' if reverse else ''}"
    return [f"{name}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
