"""The adding problem as published: an IRNN (relu, W = identity) against the tanh network, by full back-propagation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration, Say
from components.lab.layers import rnn
from components.lab.problems import ADDING_BASELINE, adding

SOLVED = 0.01
BATCH = 64
STEPS_PER_POINT = 250


@dataclass(frozen=True)
class Adding:
    """Figures.

    Attributes:
        timesteps: Of the sequences.
        steps: Updates done at each point of the curves, [points].
        error: Initialisation → mean squared error over the batches since the point before, none of them seen twice,
            [points].
    """

    timesteps: int
    steps: np.ndarray
    error: dict[str, np.ndarray]


def initializations(seed: int) -> dict[str, dict[str, Any]]:
    """The two networks, as arguments of the layer."""
    small = keras.initializers.RandomNormal(stddev=0.001, seed=seed)
    return {
        "irnn": {"activation": "relu", "recurrent_initializer": "identity", "kernel_initializer": small},
        "tanh": {"activation": "tanh"},  # W orthogonal, the layer's default
    }


def measure(
    seed: int,
    say: Say,
    timesteps: int,
    points: int,
    units: int = 100,
    learning_rate: float = 1e-3,
    steps_per_point: int = STEPS_PER_POINT,
) -> Adding:
    """Trains both on the same sequences: Adam, global_clipnorm 1, batches of 64, gradients over all timesteps."""
    errors = {}
    for name, arguments in initializations(seed).items():
        model = keras.Sequential(
            [
                keras.Input((timesteps, 2)),
                rnn(units, 2, seed, **arguments),
                keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2)),
            ]
        )
        model.compile(keras.optimizers.Adam(learning_rate, global_clipnorm=1.0), "mse")
        random = np.random.default_rng(seed)
        curve: list[float] = []
        while len(curve) < points:
            sequences, sums = adding(random, steps_per_point * BATCH, timesteps)
            history = model.fit(sequences, sums, batch_size=BATCH, shuffle=False, verbose=0).history
            curve.append(history["loss"][0])
            if len(curve) % 4 == 0:
                say(f"{name}: step {len(curve) * steps_per_point}, mean squared error {curve[-1]:.4f}")
        errors[name] = np.asarray(curve)
    return Adding(timesteps, steps_per_point * np.arange(1, points + 1), errors)


def sentences(figures: Adding) -> list[str]:
    told = [f"Always to answer 1 has a mean squared error of {ADDING_BASELINE:.4f}."]
    for name, error in figures.error.items():
        solved = np.flatnonzero(error < SOLVED)
        when = f"below {SOLVED} from step {figures.steps[solved[0]]} on" if solved.size else f"never below {SOLVED}"
        told.append(f"{name}, {figures.timesteps} timesteps: {error[-1]:.4f} after {figures.steps[-1]} steps; {when}.")
    return told


def draw(picture: Figure, figures: Adding) -> None:
    axis = picture.subplots()
    for color, (name, error) in zip(COLORS, figures.error.items(), strict=False):
        axis.plot(figures.steps, error, color=color, label=name)
    axis.axhline(ADDING_BASELINE, color=COLORS[7], linestyle=":", label="always 1")
    axis.set(yscale="log", xlabel="step", title=f"adding problem, {figures.timesteps} timesteps: mean squared error")
    axis.legend()


def _demonstration(timesteps: int, points: int) -> Demonstration:
    return Demonstration(
        title=f"The adding problem over {timesteps} timesteps",
        equation="y = sum of the two marked numbers;   IRNN: h_t = relu(x_t U + h_{t-1} W + b), W = identity at first",
        advice="For lags of a hundred timesteps start with relu units and W = identity, small input weights, and clip.",
        measure=partial(measure, timesteps=timesteps, points=points),
        sentences=sentences,
        draw=draw,
    )


# Le, Jaitly and Hinton (2015), A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, section 4.1.
DEMONSTRATIONS = {"adding_50": _demonstration(50, points=24), "adding_150": _demonstration(150, points=48)}
