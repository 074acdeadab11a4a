"""The error cliff of a one-unit network, and what clipping does to gradient descent that runs into it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration, Say
from components.lab.layers import to_numpy
from custom_layers import VanillaRNN
from custom_layers.recurrence import recurrence

TIMESTEPS, TARGET, FIRST = 50, 0.7, 0.5
LEARNING_RATE, THRESHOLD = 1.0, 0.1
LAST = 20  # steps that the loss at the end is a mean of: a path may jump over the cliff and back
CLIPPING: Mapping[str, Mapping[str, float]] = {
    "no clipping": {},
    "global_clipnorm": {"global_clipnorm": THRESHOLD},  # w and b together: the direction stays
    "clipvalue": {"clipvalue": THRESHOLD},  # w and b each: the direction may turn
}

STARTS = tuple(itertools.product((5.0, 5.5, 6.0), (-2.5, -2.0, -1.5)))


@dataclass(frozen=True)
class Cliff:
    """Figures.

    Attributes:
        w, b: Axes of the surface, [columns], [rows].
        surface: Loss, [rows, columns].
        paths: Kind of clipping → (w, b) at each step of gradient descent, from each start, [starts, steps + 1, 2].
        losses: Kind of clipping → loss there, [starts, steps + 1].
    """

    w: np.ndarray
    b: np.ndarray
    surface: np.ndarray
    paths: dict[str, np.ndarray]
    losses: dict[str, np.ndarray]

    def ends(self, kind: str) -> np.ndarray:
        """Mean loss of the last steps, [starts]."""
        return self.losses[kind][:, -LAST:].mean(axis=1)


def measure(
    say: Say = lambda line: None,
    size: int = 90,
    starts: Sequence[tuple[float, float]] = STARTS,
    steps: int = 200,
) -> Cliff:
    """Computes the loss surface, and descends from each start with each kind of clipping."""
    w, b = np.linspace(3.0, 7.0, size), np.linspace(-4.0, 1.0, size)
    paths, losses = {}, {}
    for kind, clipping in CLIPPING.items():
        model = _model(clipping)
        found = [descend(model, start, steps) for start in starts]
        paths[kind], losses[kind] = (np.stack(arrays) for arrays in zip(*found, strict=True))
        say(f"{kind}: {len(starts)} descents of {steps} steps")
    return Cliff(w, b, surface(w, b), paths, losses)


def surface(w: np.ndarray, b: np.ndarray, timesteps: int = TIMESTEPS) -> np.ndarray:
    """The loss (s_T - 0.7)² for every pair of w and b.

    Args:
        w: [columns].
        b: [rows].
        timesteps: T.

    Returns:
        float64 [rows, columns].
    """
    # A diagonal W holds one network of one unit for each w; the batch has a row for each b.
    rows, columns = len(b), len(w)
    projected = np.broadcast_to(b[:, None, None], (rows, timesteps, columns)).astype("float32")
    initial_state = np.full((rows, columns), _sigmoid(FIRST), "float32")
    states = recurrence(projected, initial_state, np.diag(w).astype("float32"), activation="sigmoid")
    return (to_numpy(states)[:, -1] - TARGET) ** 2


def descend(model: keras.Model, start: tuple[float, float], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradient descent from a start.

    Returns:
        (w, b) before each step and after the last, [steps + 1, 2]; the loss there, [steps + 1].
    """
    sequences, target = np.zeros((1, TIMESTEPS, 1), "float32"), np.full((1, 1), TARGET, "float32")
    initial_state = np.full((1, 1), _sigmoid(FIRST), "float32")
    kernel = np.zeros((1, 1))  # no input: its gradient is zero
    model.set_weights([kernel, np.full((1, 1), start[0]), np.full((1,), start[1])])
    path, losses = [start], []
    for _ in range(steps):
        losses.append(float(model.train_on_batch([sequences, initial_state], target)))
        _, w, b = model.get_weights()
        path.append((float(w[0, 0]), float(b[0])))
    losses.append(float(model.test_on_batch([sequences, initial_state], target)))
    return np.asarray(path), np.asarray(losses)


def _model(clipping: Mapping[str, float]) -> keras.Model:
    sequences, initial_state = keras.Input((TIMESTEPS, 1)), keras.Input((1,))
    output = VanillaRNN(1, activation="sigmoid")(sequences, initial_state=initial_state)
    model = keras.Model([sequences, initial_state], output)
    model.compile(keras.optimizers.SGD(LEARNING_RATE, **clipping), "mse")
    return model


def _sigmoid(a: float) -> float:
    return float(1 / (1 + np.exp(-a)))


def sentences(figures: Cliff) -> list[str]:
    told = []
    for kind, path in figures.paths.items():
        ends, longest = figures.ends(kind), np.linalg.norm(np.diff(path, axis=1), axis=2).max()
        told.append(
            f"{kind}: {(ends < 0.01).sum()} of {len(ends)} starts end below 0.01 (mean loss {ends.mean():.2g}); the "
            f"longest step is {longest:.2g} long."
        )
    return told


def draw(picture: Figure, figures: Cliff) -> None:
    plane, curve = picture.subplots(1, 2, width_ratios=(1.15, 1))
    edges = (*figures.w[[0, -1]], *figures.b[[0, -1]])
    surface = plane.imshow(figures.surface, cmap="Greys", vmin=0, extent=edges, origin="lower", aspect="auto")
    picture.colorbar(surface, ax=plane)
    # The start whose descent without clipping takes the longest step.
    steps = np.linalg.norm(np.diff(figures.paths["no clipping"], axis=1), axis=2).max(axis=1)
    shown = int(steps.argmax())
    for color, (kind, path) in zip((COLORS[1], COLORS[0], COLORS[2]), figures.paths.items(), strict=True):
        plane.plot(*path[shown].T, color=color, linewidth=0.9)
        curve.plot(figures.losses[kind].mean(axis=0), color=color, linewidth=1, label=kind)
    plane.plot(*figures.paths["no clipping"][shown, 0], "o", color=COLORS[6], markersize=4)
    plane.set(xlabel="w", ylabel="b", title="loss, and descent from one start", xlim=edges[:2], ylim=edges[2:])
    plane.grid(False)
    curve.set(yscale="log", xlabel="step", title=f"loss, mean of {len(steps)} starts")
    curve.legend()


DEMONSTRATIONS = {
    "cliff": Demonstration(
        title="The error cliff, and clipping",
        equation=f"h_t = w σ(h_{{t-1}}) + b, h_0 = {FIRST}, L = (σ(h_{TIMESTEPS}) - {TARGET})²   "
        "(the layer's state is s_t = σ(h_t): the activation comes last)",
        advice="Clip the gradient (trainer.optimizer.global_clipnorm): one step on the wall must not undo a thousand "
        "in the valley. By norm keeps the direction, by value may turn it.",
        measure=lambda seed, say: measure(say),
        sentences=sentences,
        draw=draw,
        size=(8.5, 3.8),
    )
}
