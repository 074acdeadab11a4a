"""A linear network with a symmetric W: in W's eigenbasis each component lives on its own, as a scalar network does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration
from components.lab.layers import rnn, to_numpy


@dataclass(frozen=True)
class Eigen:
    """Figures.

    Attributes:
        eigenvalues: λ_i, [units].
        measured: (Q h_t)_i of the layer's states, t = 0 … T, [timesteps + 1, units].
        formula: λ_i^t (Q h_0)_i, [timesteps + 1, units].
        error: The largest distance between the two, as a share of the largest component of that timestep.
    """

    eigenvalues: np.ndarray
    measured: np.ndarray
    formula: np.ndarray
    error: float


def measure(seed: int = 0, eigenvalues: Sequence[float] = (1.05, 1.0, 0.9, -0.8, 0.7), timesteps: int = 30) -> Eigen:
    """Runs h_t = W h_{t-1} with the layer and projects its states on the eigenvectors, the rows of Q."""
    random = np.random.default_rng(seed)
    scale = np.asarray(eigenvalues, float)
    units = len(scale)
    q = np.linalg.qr(random.normal(size=(units, units)))[0]
    start = random.uniform(0.5, 1.0, units) * random.choice([-1, 1], units) @ q  # no component is near zero
    layer = rnn(units, 1, seed, activation="linear", use_bias=False, return_sequences=True)
    layer.set_weights([np.zeros((1, units)), q.T @ np.diag(scale) @ q])
    states = layer(np.zeros((1, timesteps, 1), "float32"), initial_state=start[None].astype("float32"))
    measured = np.concatenate([start[None], to_numpy(states)[0]]) @ q.T
    formula = scale ** np.arange(timesteps + 1)[:, None] * measured[0]
    error = (np.abs(measured - formula) / np.abs(formula).max(axis=1, keepdims=True)).max()
    return Eigen(scale, measured, formula, float(error))


def sentences(figures: Eigen) -> list[str]:
    timesteps = len(figures.measured) - 1
    ratios = figures.measured[-1] / figures.measured[0]
    told = [
        f"λ = {value:g}: after {timesteps} timesteps the component is {ratio:.3g} of what it was (λ^{timesteps} = "
        f"{value**timesteps:.3g})."
        for value, ratio in zip(figures.eigenvalues, ratios, strict=True)
    ]
    return [*told, f"Measured and formula differ by {figures.error:.1g} of the largest component at most (float32)."]


def draw(picture: Figure, figures: Eigen) -> None:
    axis = picture.subplots()
    t = np.arange(len(figures.measured))
    for color, value, measured, formula in zip(
        COLORS, figures.eigenvalues, figures.measured.T, figures.formula.T, strict=False
    ):
        axis.plot(t, np.abs(formula), color=color, linewidth=1)
        axis.plot(t, np.abs(measured), ".", color=color, markersize=5, label=f"$\\lambda$ = {value:g}")
    axis.set(yscale="log", xlabel="timestep t", title="component of $h_t$ along an eigenvector: layer (dots), formula")
    axis.legend(loc="lower left")


DEMONSTRATIONS = {
    "eigen": Demonstration(
        title="Powers of eigenvalues",
        equation="h_t = W^t h_0 = Qᵀ Λ^t Q h_0   for a symmetric W = Qᵀ Λ Q",
        advice="Look at the eigenvalues of the recurrent kernel, not at the size of its entries: what lies along an "
        "eigenvector with |λ| < 1 is forgotten. SpectralRadius(r) sets the largest.",
        measure=lambda seed, say: measure(seed),
        sentences=sentences,
        draw=draw,
    )
}
