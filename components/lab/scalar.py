"""A network of one weight: its gradient through t timesteps is w to the power of t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration
from components.lab.layers import rnn, to_numpy
from components.trainer.backend import compile_gradient


@dataclass(frozen=True)
class Scalar:
    """Figures, h_0 = 1.

    Attributes:
        weights: w, [weights].
        states: h_1 … h_T, [weights, timesteps].
        gradients: dh_t/dh_0, t = 1 … T, [weights, timesteps].
    """

    weights: np.ndarray
    states: np.ndarray
    gradients: np.ndarray


def measure(weights: Sequence[float] = (0.5, 0.9, 1.0, 1.1, 1.5), timesteps: int = 50) -> Scalar:
    """Runs h_t = w h_{t-1} with the layer, and asks it for the gradient of each state."""
    layer = rnn(1, 1, seed=0, activation="linear", use_bias=False, return_sequences=True)
    # One row for each t: row t asks for dh_t/dh_0.
    zeros = np.zeros((timesteps, timesteps, 1), "float32")
    pick = np.eye(timesteps, dtype="float32")[:, :, None]

    def picked(initial_state: Any, pick: Any) -> Any:
        return ops.sum(layer(zeros, initial_state=initial_state) * pick)

    gradient = compile_gradient(layer, picked)
    ones = np.ones((timesteps, 1), "float32")
    states, gradients = [], []
    for weight in weights:
        layer.set_weights([np.zeros((1, 1)), np.full((1, 1), weight)])
        states.append(to_numpy(layer(zeros[:1], initial_state=ones[:1]))[0, :, 0])
        gradients.append(to_numpy(gradient(ones, pick)[1])[:, 0])
    return Scalar(np.asarray(weights, float), np.stack(states), np.stack(gradients))


def sentences(figures: Scalar) -> list[str]:
    timesteps = figures.gradients.shape[1]
    told = []
    for weight, gradient in zip(figures.weights, figures.gradients[:, -1], strict=True):
        fate = "vanishes" if abs(weight) < 1 else "explodes" if abs(weight) > 1 else "stays"
        told.append(
            f"w = {weight:g}: dh_{timesteps}/dh_0 = {gradient:.3g}, and w^{timesteps} = {weight**timesteps:.3g}: "
            f"the gradient {fate}."
        )
    return told


def draw(picture: Figure, figures: Scalar) -> None:
    axes = picture.subplots(1, 2, sharey=True)
    t = np.arange(1, figures.states.shape[1] + 1)
    for axis, values, label in zip(axes, (figures.states, figures.gradients), ("$h_t$", "$dh_t/dh_0$"), strict=True):
        for color, weight, row in zip(COLORS, figures.weights, values, strict=False):
            axis.plot(t, np.abs(row), color=color, label=f"w = {weight:g}")
        axis.set(yscale="log", xlabel="timestep t", title=label)
    axes[0].legend()


DEMONSTRATIONS = {
    "scalar": Demonstration(
        title="One weight: exploding and vanishing",
        equation="h_t = w h_{t-1}   ⇒   dh_T/dh_0 = w^T",
        advice="Start the recurrent kernel where its powers neither grow nor shrink: orthogonal (the layer's default), "
        "or the identity for relu units.",
        measure=lambda seed, say: measure(),
        sentences=sentences,
        draw=draw,
    )
}
