"""How far back an output looks: the recurrent network fades, a stack of causal convolutions ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration
from components.lab.layers import rnn, to_numpy
from components.trainer.backend import compile_gradient

KERNEL_SIZE = 3


@dataclass(frozen=True)
class ReceptiveField:
    """Figures: influence by lag, ‖do_t/dx_{t-k}‖ (Frobenius, root mean square over sequences), k = 0 … T - 1.

    Attributes:
        rnn: [timesteps].
        depths: Convolutions of each stack, [stacks].
        cnn: [stacks, timesteps].
        reach: The largest lag with any influence, of each stack, [stacks].
    """

    rnn: np.ndarray
    depths: np.ndarray
    cnn: np.ndarray
    reach: np.ndarray


def measure(
    seed: int = 0, depths: Sequence[int] = (1, 2, 4, 8), timesteps: int = 32, units: int = 16, batch: int = 4
) -> ReceptiveField:
    """Measures both kinds of network, untrained, on the same random sequences."""
    features = 3
    sequences = np.random.default_rng(seed).normal(size=(batch, timesteps, features)).astype("float32")
    recurrent = rnn(units, features, seed)
    stacks = [_stack(depth, units, features, seed) for depth in depths]
    cnn = np.stack([influence(stack, _last(stack), units, sequences) for stack in stacks])
    reach = np.asarray([np.flatnonzero(row).max() for row in cnn])
    return ReceptiveField(influence(recurrent, recurrent, units, sequences), np.asarray(depths), cnn, reach)


def influence(model: Any, output: Callable[[Any], Any], units: int, sequences: np.ndarray) -> np.ndarray:
    """‖do/dx_{T-k}‖ of the last output, by lag k.

    Args:
        model: Whose variables `output` reads.
        output: float32 [batch, timesteps, features] → o, [batch, units].
        units: Size of o.
        sequences: float32 [batch, timesteps, features].

    Returns:
        float64 [timesteps].
    """
    batch, timesteps, _ = sequences.shape
    # Each sequence `units` times: row i asks for the gradient of o_i.
    rows = np.repeat(sequences, units, axis=0)
    pick = np.tile(np.eye(units, dtype="float32"), (batch, 1))

    def picked(rows: Any, pick: Any) -> Any:
        return ops.sum(output(rows) * pick)

    jacobian = to_numpy(compile_gradient(model, picked)(rows, pick)[1])  # [batch · units, timesteps, features]
    squares = (jacobian**2).sum(axis=2).reshape(batch, units, timesteps)
    return np.sqrt(squares.sum(axis=1).mean(axis=0))[::-1]


def _last(stack: keras.Model) -> Callable[[Any], Any]:
    return lambda sequences: stack(sequences)[:, -1]


def _stack(depth: int, units: int, features: int, seed: int) -> keras.Model:
    layers = [
        keras.layers.Conv1D(
            units,
            KERNEL_SIZE,
            padding="causal",
            activation="tanh",
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + layer),
        )
        for layer in range(depth)
    ]
    return keras.Sequential([keras.Input((None, features)), *layers])


def sentences(figures: ReceptiveField) -> list[str]:
    told = [
        f"{depth} causal convolution{'s' if depth > 1 else ''} of {KERNEL_SIZE}: nothing beyond lag {reach}, "
        f"{(KERNEL_SIZE - 1) * depth} by the formula."
        for depth, reach in zip(figures.depths, figures.reach, strict=True)
    ]
    last = len(figures.rnn) - 1
    return [*told, f"RNN: no end; at lag {last} the influence is {figures.rnn[last] / figures.rnn[0]:.2g} of lag 0's."]


def draw(picture: Figure, figures: ReceptiveField) -> None:
    axis = picture.subplots()
    lags = np.arange(len(figures.rnn))
    axis.plot(lags, figures.rnn, color=COLORS[6], linewidth=2, label="RNN")
    for color, depth, row, reach in zip(COLORS, figures.depths, figures.cnn, figures.reach, strict=False):
        axis.plot(lags[: reach + 1], row[: reach + 1], ".-", color=color, label=f"CNN, depth {depth}")
        axis.axvline(reach, color=color, linewidth=0.8, linestyle=":")
    axis.set(yscale="log", xlabel="lag k", title="$\\Vert do_t/dx_{t-k} \\Vert$")
    axis.legend()


DEMONSTRATIONS = {
    "receptive_field": Demonstration(
        title="A field that fades and a field that ends",
        equation=f"CNN: do_t/dx_{{t-k}} = 0 for k > {KERNEL_SIZE - 1} · depth      "
        "RNN: ‖do_t/dx_{t-k}‖ ≤ ‖V‖ ‖D W‖^k ‖U‖ for every k, D the activation's derivative",
        advice="Know the lag that the task needs. A convolution needs depth (or dilation) enough to reach it; a "
        "recurrent network reaches it, and has to keep the influence from fading.",
        measure=lambda seed, say: measure(seed),
        sentences=sentences,
        draw=draw,
    )
}
