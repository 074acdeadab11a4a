"""All measures of a model on one batch of real text, as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from components.json_values import json_value
from components.tasks.language_model import LanguageModel, negative_log_likelihood
from components.trainer.backend import compile_gradient, compile_inference
from components.trainer.diagnostics.activity import activity
from components.trainer.diagnostics.influence import by_lag, reach, rows_reached
from components.trainer.diagnostics.spectrum import spectrum
from components.trainer.probes import state_gradient, zero_probes
from components.transform.reader import Window
from custom_layers.recurrence.fused import name_of

_DIGITS = 4
_ROWS = 32
_TIMES_AS_LONG = 3
_SHORTEST = 128


def measurer(model: LanguageModel) -> Callable[..., dict[str, Any]]:
    """Returns the function (window, states=None) → measures; it compiles once for each shape.

    Args:
        model: Its variables are read at each call. Dropout is off.

    The measures, of a window of T timesteps from `states` (zeros if None) on, numbers rounded to 4 digits and None
    where they are not finite:

        lags        T - 1, the longest lag
        rows        rows that count at each lag 0 … T - 1: no document began in between
        activation  its name
        layers      for each layer:
            influence       ‖∂L_t/∂h_{t-k}‖, k = 0 … T - 1, L_t the last step's loss: root mean square over rows
            memory_length, factor, half_life                          see `influence.Reach`
            spectral_radius, largest_singular_value, eigenvalues ([real, imaginary]), singular_values         of W
            mean, std, norm, saturated, dead, histogram               of h, see `activity.activity`
    """
    gradient = compile_gradient(model, last_loss(model))
    trace = compile_inference(model, tracer(model))

    def measure(window: Window, states: Sequence[Any] | None = None) -> dict[str, Any]:
        batch, timesteps = window.inputs.shape
        states = model.initial_states(batch) if states is None else states
        traced = trace(window.inputs, window.reset, states)
        _, probes = gradient(zero_probes(model, batch, timesteps), *window, states)
        reached = rows_reached(window.reset, window.weights[:, -1] > 0)
        layers = []
        for layer, hidden, (offset, shift) in zip(model.recurrent_layers, traced, probes, strict=True):
            recurrent_kernel = layer.cell.recurrent_kernel
            total = _to_numpy(state_gradient(recurrent_kernel, offset, shift, ops.convert_to_tensor(window.reset)))
            influence = by_lag(total, reached)
            of_kernel = spectrum(_to_numpy(recurrent_kernel))
            eigenvalues = [[value.real, value.imag] for value in of_kernel.eigenvalues.tolist()]
            measures = {
                "influence": influence.tolist(),
                **dataclasses.asdict(reach(influence)),
                "spectral_radius": of_kernel.spectral_radius,
                "largest_singular_value": of_kernel.largest_singular_value,
                "eigenvalues": eigenvalues,
                "singular_values": of_kernel.singular_values.tolist(),
                **activity(_to_numpy(hidden)[window.weights > 0], _activation(layer)),
            }
            layers.append(measures)
        measured = {"lags": timesteps - 1, "rows": reached.sum(axis=1).tolist()}
        measured |= {"activation": _activation(model.recurrent_layers[0]), "layers": layers}
        return dict(json_value(measured, _DIGITS))

    return measure


def spans(stream: np.ndarray, end: int, timesteps: int) -> Window:
    """Pieces of a token stream for `measurer`, evenly spaced, several times as long as what is propagated back.

    Args:
        stream: Token ids `<end> c1 … cn <end> … <end>`.
        end: Id of `<end>`.
        timesteps: k2, how far the training's gradients go back.
    """
    length = min(max(_TIMES_AS_LONG * timesteps, _SHORTEST), len(stream) - 1)
    starts = np.unique(np.linspace(0, len(stream) - 1 - length, _ROWS).astype(np.int64))
    tokens = np.stack([stream[start : start + length + 1] for start in starts]).astype(np.int32)
    inputs = tokens[:, :-1]
    return Window(inputs, tokens[:, 1:], inputs == end, np.ones(inputs.shape, np.float32))


def last_loss(model: LanguageModel) -> Callable[..., Any]:
    """The function to differentiate: probes, inputs, targets, reset, weights, states → nats of the last step.

    The sum over rows; a row's gradient is that of its own loss, since no row depends on another.
    """

    def loss(probes: Any, inputs: Any, targets: Any, reset: Any, weights: Any, states: Any) -> Any:
        logits, _ = model(inputs, states, reset=reset, probes=probes)
        return ops.sum(negative_log_likelihood(logits[:, -1:], targets[:, -1:]) * weights[:, -1:])

    return loss


def tracer(model: LanguageModel) -> Callable[[Any, Any, Sequence[Any]], list[Any]]:
    """The function to compile: tokens, reset, states → every state of every layer, each [batch, timesteps, units].

    It reads one token at a time, since the model tells its states after the last one only.
    """

    def trace(tokens: Any, reset: Any, states: Sequence[Any]) -> list[Any]:
        def step(states: list[Any], read: tuple[Any, Any]) -> tuple[list[Any], list[Any]]:
            token, fresh = read  # [batch]
            _, states = model(token[:, None], states, reset=fresh[:, None])
            return states, states

        _, traced = ops.scan(step, list(states), (ops.transpose(tokens), ops.transpose(reset)))
        return [ops.transpose(hidden, (1, 0, 2)) for hidden in traced]

    return trace


def update_ratios(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """‖θ_after - θ_before‖ / ‖θ_before‖ of each variable, by name; None where it was 0 or is not finite."""
    ratios = {}
    for name, old in before.items():
        size = np.linalg.norm(old.astype(np.float64))
        change = np.linalg.norm(after[name].astype(np.float64) - old)
        ratios[name] = float(change / size) if size else math.nan
    return dict(json_value(ratios, _DIGITS))


def _activation(layer: Any) -> str:
    return name_of(layer.activation) or layer.activation.__name__


def _to_numpy(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))
