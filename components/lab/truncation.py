"""Full against truncated back-propagation: a lag longer than k2 timesteps sends no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from matplotlib.figure import Figure

from components.lab.demonstration import COLORS, Demonstration, Say
from components.lab.layers import rnn
from components.lab.problems import SYMBOLS, adding, copying

NOISE = 0.1
BATCH = 50


@dataclass(frozen=True)
class Truncation:
    """Figures.

    Attributes:
        lags: Of the copying problem, [lags].
        copy_truncations: k2, [truncations].
        accuracy: Share of the symbols of new sequences that are copied, [lags, truncations]; chance: 1/4.
        timesteps: Of the adding problem.
        add_truncations: k2, [truncations].
        error: Mean squared error on new sequences, [truncations]; without any knowledge: 1/6.
    """

    lags: np.ndarray
    copy_truncations: np.ndarray
    accuracy: np.ndarray
    timesteps: int
    add_truncations: np.ndarray
    error: np.ndarray


def truncated(timesteps: int, features: int, outputs: int, k2: int, seed: int, **arguments: Any) -> keras.Model:
    """Builds x → h_T V + c, whose gradient goes back over the last `k2` timesteps.

    The loss is at the last timestep, so this is what truncated back-propagation with windows of k2 timesteps computes:
    of windows before the last one, none has a loss.

    Args:
        timesteps: T.
        features: Of x.
        outputs: Of the readout.
        k2: Timesteps back-propagated, 1 … T; T is full back-propagation.
        seed: Of the weights.
        arguments: Of the layer: units, activation, gain, ….
    """
    sequences = keras.Input((timesteps, features))
    layer = rnn(features=features, seed=seed, **arguments)
    before, after = sequences[:, : timesteps - k2], sequences[:, timesteps - k2 :]
    state = ops.stop_gradient(layer(before)) if k2 < timesteps else None
    state = layer(after, initial_state=state)
    readout = keras.layers.Dense(outputs, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2))
    return keras.Model(sequences, readout(state))


def copy_accuracy(lag: int, k2: int, seed: int, steps: int, units: int = 32) -> float:
    """Trains on the copying problem of that lag; the accuracy on 1000 new sequences."""
    timesteps = lag + 1
    model = truncated(timesteps, SYMBOLS + 1, SYMBOLS, k2, seed, units=units, gain=0.5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(5e-3, global_clipnorm=1.0), loss, metrics=["accuracy"])
    random = np.random.default_rng(seed)
    model.fit(*copying(random, steps * BATCH, timesteps, NOISE), batch_size=BATCH, shuffle=False, verbose=0)
    return float(model.evaluate(*copying(random, 1000, timesteps, NOISE), batch_size=1000, verbose=0)[1])


def adding_error(timesteps: int, k2: int, seed: int, steps: int, units: int = 32) -> float:
    """Trains an IRNN on the adding problem; the mean squared error on 1000 new sequences."""
    model = truncated(timesteps, 2, 1, k2, seed, units=units, activation="relu", recurrent_initializer="identity")
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=1.0), "mse")
    random = np.random.default_rng(seed)
    model.fit(*adding(random, steps * BATCH, timesteps), batch_size=BATCH, shuffle=False, verbose=0)
    return float(model.evaluate(*adding(random, 1000, timesteps), batch_size=1000, verbose=0))
