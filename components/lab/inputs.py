"""Many-to-one against many-to-many: where the loss enters decides which states hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration
from components.lab.layers import rnn, state_gradients


@dataclass(frozen=True)
class Inputs:
    """Figures: ‖dL/dh_t‖, root mean square over the batch, t = 1 … T, [timesteps].

    Attributes:
        many_to_one: The loss is at the last timestep.
        many_to_many: The loss is the sum over all timesteps.
    """

    many_to_one: np.ndarray
    many_to_many: np.ndarray


def measure(seed: int = 0, timesteps: int = 40, units: int = 24, batch: int = 8, gain: float = 0.9) -> Inputs:
    """Measures dL/dh_t of L_t = ½ ‖h_t V - y_t‖² for random inputs and targets."""
    random = np.random.default_rng(seed)
    features, outputs = 3, 2
    layer = rnn(units, features, seed, gain=gain)
    sequences, targets, readout = (
        random.normal(size=size).astype("float32")
        for size in ((batch, timesteps, features), (batch, timesteps, outputs), (units, outputs))
    )
    readout /= np.sqrt(np.float32(units))

    def last(states: Any) -> Any:
        return losses(states)[-1]

    def every(states: Any) -> Any:
        return ops.sum(losses(states))

    def losses(states: Any) -> Any:
        return ops.sum(ops.square(ops.matmul(states, readout) - targets), axis=(0, 2)) / 2  # [timesteps]

    def norms(gradients: np.ndarray) -> np.ndarray:
        return np.sqrt((gradients**2).sum(axis=2).mean(axis=0))

    return Inputs(*(norms(state_gradients(layer, sequences, loss)) for loss in (last, every)))


def sentences(figures: Inputs) -> list[str]:
    timesteps = len(figures.many_to_one)
    one, many = (norms[0] / norms[-1] for norms in (figures.many_to_one, figures.many_to_many))
    return [
        f"Loss at the last of {timesteps} timesteps: the first state's gradient is {one:.2g} of the last one's.",
        f"Loss at every timestep: it is {many:.2g} of the last one's.",
        "Short lags hide long ones: each state gets a large gradient from the outputs just after it, and of what came "
        "from far away as little as before.",
    ]


def draw(picture: Figure, figures: Inputs) -> None:
    axis = picture.subplots()
    t = np.arange(1, len(figures.many_to_one) + 1)
    axis.plot(t, figures.many_to_one, color=COLORS[1], label="many-to-one: loss at the last step")
    axis.plot(t, figures.many_to_many, color=COLORS[0], label="many-to-many: loss at every step")
    axis.set(yscale="log", xlabel="timestep t", title="$\\Vert dL/dh_t \\Vert$")
    axis.legend()


DEMONSTRATIONS = {
    "inputs": Demonstration(
        title="Many-to-one against many-to-many",
        equation="dL/dh_t = Σ_{s≥t} dL_s/dh_s · dh_s/dh_t   (many-to-one: the term s = T alone)",
        advice="If only the end is labelled, give the network more to predict on the way (the next input, say); and do "
        "not take a healthy gradient norm as a sign that long lags are learnt.",
        measure=lambda seed, say: measure(seed),
        sentences=sentences,
        draw=draw,
    )
}
