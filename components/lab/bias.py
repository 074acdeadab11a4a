"""tanh against sigmoid: outputs that are all positive, and a derivative of 1/4 at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from components.lab import text, training
from components.lab.demonstration import COLORS, Demonstration, Say
from components.lab.layers import rnn, state_gradients, to_numpy

ACTIVATIONS = ("tanh", "sigmoid")
LENGTH = 50


@dataclass(frozen=True)
class Bias:
    """Figures; the first axis of each is that of `ACTIVATIONS`.

    Attributes:
        mean: Mean activation of an untrained layer reading text, [2].
        influence: ‖dh_T/dh_{T-k}‖ (Frobenius) / ‖dh_T/dh_T‖, k = 0 … T - 1, root mean square over windows,
            [2, timesteps].
        train: Bits per character by epoch, while it is trained, [2, epochs].
    """

    mean: np.ndarray
    influence: np.ndarray
    train: np.ndarray


def measure(
    seed: int = 0,
    say: Say = lambda line: None,
    units: int = 64,
    epochs: int = 15,
    characters: int = 20_000,
    lags: int = 20,
) -> Bias:
    """Compares two layers with equal weights on the same text."""
    windows, test_windows = text.train_and_test(characters, LENGTH)
    few = windows[0][:4, :lags]
    means, influences, curves = [], [], []
    for activation in ACTIVATIONS:
        layer = rnn(units, few.shape[2], seed, activation=activation, return_sequences=True)
        means.append(to_numpy(layer(windows[0][:100])).mean())
        influences.append(influence(layer, few))
        curves.append(training.learn(windows, test_windows, units, epochs, seed, activation=activation).train)
        say(f"{activation}: {curves[-1][-1]:.2f} bits per character after {epochs} epochs")
    return Bias(np.asarray(means), np.stack(influences), np.stack(curves))


def influence(layer: Any, sequences: np.ndarray) -> np.ndarray:
    """‖dh_T/dh_{T-k}‖ over ‖dh_T/dh_T‖ = √units, by lag k.

    Args:
        layer: VanillaRNN.
        sequences: float32 [batch, timesteps, features].

    Returns:
        float64 [timesteps].
    """
    batch, timesteps, _ = sequences.shape
    # Each sequence `units` times: row i asks for the gradient of h_T's unit i.
    rows = np.repeat(sequences, layer.units, axis=0)
    pick = np.tile(np.eye(layer.units, dtype="float32"), (batch, 1))

    def picked(states: Any) -> Any:
        return ops.sum(states[:, -1] * pick)

    squares = (state_gradients(layer, rows, picked) ** 2).sum(axis=2).reshape(batch, layer.units, timesteps)
    return np.sqrt(squares.sum(axis=1).mean(axis=0) / layer.units)[::-1]


def sentences(figures: Bias) -> list[str]:
    lag = figures.influence.shape[1] - 1
    told = [
        f"{name}: mean activation {mean:.2f}; at lag {lag} the gradient is {by_lag[-1]:.2g} of lag 0's, a factor of "
        f"{by_lag[-1] ** (1 / lag):.2g} a timestep; {curve[-1]:.2f} bits per character after {len(curve)} epochs."
        for name, mean, by_lag, curve in zip(ACTIVATIONS, figures.mean, figures.influence, figures.train, strict=True)
    ]
    return [*told, "The same weights, text and optimizer: only the activation differs."]


def draw(picture: Figure, figures: Bias) -> None:
    lags, curves = picture.subplots(1, 2)
    for color, name, mean, by_lag, curve in zip(
        COLORS, ACTIVATIONS, figures.mean, figures.influence, figures.train, strict=False
    ):
        lags.plot(by_lag, ".-", color=color, label=f"{name}, mean activation {mean:.2f}")
        curves.plot(np.arange(1, len(curve) + 1), curve, color=color, label=name)
    lags.plot(0.25 ** np.arange(figures.influence.shape[1]), ":", color=COLORS[7], label="$(1/4)^k$")
    lags.set(yscale="log", xlabel="lag k", title="$\\Vert dh_T/dh_{T-k} \\Vert$, untrained")
    lags.legend()
    curves.set(xlabel="epoch", title="bits per character, train")
    curves.legend()


DEMONSTRATIONS = {
    "bias": Demonstration(
        title="tanh against sigmoid",
        equation="σ'(a) = σ(a)(1 - σ(a)) ≤ 1/4, tanh'(a) = 1 - tanh²(a) ≤ 1;   ‖dh_T/dh_{T-k}‖ ≤ (max σ' · ‖W‖)^k",
        advice="Use tanh (the default), or relu with an identity W, for the state; keep sigmoid for outputs that are "
        "probabilities.",
        measure=measure,
        sentences=sentences,
        draw=draw,
    )
}
