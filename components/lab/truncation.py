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
from components.lab.problems import ADDING_BASELINE, adding, copying

UNITS, BATCH = 32, 32


@dataclass(frozen=True)
class Truncation:
    """Figures.

    Attributes:
        lags: Of the copying problem, [lags].
        copy_truncations: k2, [lags, truncations]: half the lag, the lag, one and a half of it, all timesteps.
        accuracy: Share of the symbols of new sequences that are copied, [lags, truncations]; chance: 1/2.
        timesteps: Of the adding problem.
        add_truncations: k2, [truncations].
        error: Mean squared error on new sequences, [truncations]; always to answer 1: 1/6.
    """

    lags: np.ndarray
    copy_truncations: np.ndarray
    accuracy: np.ndarray
    timesteps: int
    add_truncations: np.ndarray
    error: np.ndarray


def measure(
    seed: int = 0,
    say: Say = lambda line: None,
    lags: Sequence[int] = (4, 8, 12),
    copy_steps: int = 1000,
    timesteps: int = 20,
    add_truncations: Sequence[int] = (1, 5, 10, 20),
    add_steps: int = 1500,
) -> Truncation:
    """Trains a network for each problem and truncation, all with full-length sequences and the same optimizer."""
    truncations = [(lag // 2, lag, lag * 3 // 2, 3 * lag) for lag in lags]
    accuracy = []
    for lag, row in zip(lags, truncations, strict=True):
        accuracy.append([copy_accuracy(lag, k2, seed, copy_steps) for k2 in row])
        say(f"copying, lag {lag}: " + ", ".join(f"k2 = {k2} {a:.0%}" for k2, a in zip(row, accuracy[-1], strict=True)))
    error = []
    for k2 in add_truncations:
        error.append(adding_error(timesteps, k2, seed, add_steps))
        say(f"adding, {timesteps} timesteps: k2 = {k2} mean squared error {error[-1]:.4f}")
    return Truncation(
        lags=np.asarray(lags),
        copy_truncations=np.asarray(truncations),
        accuracy=np.asarray(accuracy),
        timesteps=timesteps,
        add_truncations=np.asarray(add_truncations),
        error=np.asarray(error),
    )


def truncated_states(layer: Any, sequences: Any, k2: int) -> Any:
    """Runs a layer over windows of `k2` timesteps: the state goes from each to the next, gradients do not.

    Args:
        layer: VanillaRNN that returns sequences and the final state.
        sequences: [batch, timesteps, features].
        k2: Timesteps back-propagated at most; the number of timesteps is full back-propagation.

    Returns:
        States, [batch, timesteps, units].
    """
    state, windows = None, []
    for start in range(0, sequences.shape[1], k2):
        states, state = layer(sequences[:, start : start + k2], initial_state=state)
        state = ops.stop_gradient(state)
        windows.append(states)
    return ops.concatenate(windows, axis=1) if len(windows) > 1 else windows[0]


def copy_accuracy(lag: int, k2: int, seed: int, steps: int) -> float:
    """Trains to say at every timestep what was read `lag` timesteps ago; the accuracy on new sequences.

    W starts small (orthogonal times 0.6): the untrained state forgets, so that what is remembered had to be learnt.
    """
    timesteps = 3 * lag
    sequences = keras.Input((timesteps, 1))
    layer = rnn(UNITS, 1, seed, gain=0.6, return_sequences=True, return_state=True)
    states = truncated_states(layer, sequences, k2)[:, lag:]  # before that, nothing was read `lag` timesteps ago
    model = keras.Model(sequences, _readout(seed)(states))
    model.compile(
        keras.optimizers.Adam(3e-3, global_clipnorm=1.0),
        keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    random = np.random.default_rng(seed)
    model.fit(*copying(random, steps * BATCH, timesteps, lag), batch_size=BATCH, shuffle=False, verbose=0)
    return float(model.evaluate(*copying(random, 512, timesteps, lag), batch_size=512, verbose=0)[1])


def adding_error(timesteps: int, k2: int, seed: int, steps: int) -> float:
    """Trains an IRNN on the adding problem; the mean squared error on new sequences.

    The windows are counted from the end, so the loss reaches back over exactly k2 timesteps.
    """
    sequences = keras.Input((timesteps, 2))
    layer = rnn(UNITS, 2, seed, activation="relu", recurrent_initializer="identity")
    before, last = sequences[:, : timesteps - k2], sequences[:, timesteps - k2 :]
    state = ops.stop_gradient(layer(before)) if k2 < timesteps else None
    state = layer(last, initial_state=state)
    model = keras.Model(sequences, _readout(seed)(state))
    model.compile(keras.optimizers.Adam(2e-3, global_clipnorm=1.0), "mse")
    random = np.random.default_rng(seed)
    model.fit(*adding(random, steps * BATCH, timesteps), batch_size=BATCH, shuffle=False, verbose=0)
    return float(model.evaluate(*adding(random, 1024, timesteps), batch_size=1024, verbose=0))


def _readout(seed: int) -> keras.layers.Layer:
    return keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2))


def sentences(figures: Truncation) -> list[str]:
    told = []
    for lag, truncations, accuracy in zip(figures.lags, figures.copy_truncations, figures.accuracy, strict=True):
        by_k2 = ", ".join(f"{a:.0%} with k2 = {k2}" for k2, a in zip(truncations, accuracy, strict=True))
        told.append(f"Copying from {lag} timesteps ago (chance 50%): {by_k2}.")
    by_k2 = ", ".join(f"{e:.4f} with k2 = {k2}" for k2, e in zip(figures.add_truncations, figures.error, strict=True))
    told.append(f"Adding over {figures.timesteps} timesteps (always 1: {ADDING_BASELINE:.4f}): {by_k2}.")
    told.append(
        "Truncation cuts the gradient, not the state: adding, where W = identity keeps everything from the start, is "
        "learnt with a short k2 too, if less exactly."
    )
    return told


def draw(picture: Figure, figures: Truncation) -> None:
    copy, add = picture.subplots(1, 2)
    for color, lag, k2, accuracy in zip(COLORS, figures.lags, figures.copy_truncations, figures.accuracy, strict=False):
        copy.plot(k2 / lag, accuracy, "o-", color=color, label=f"lag {lag}")
    copy.axvline(1, color=COLORS[7], linestyle=":")
    copy.axhline(0.5, color=COLORS[7], linestyle=":")
    copy.set(xlabel="k2 / lag", title="copying: accuracy")
    copy.legend()
    add.plot(figures.add_truncations, figures.error, "o-", color=COLORS[0])
    add.axhline(ADDING_BASELINE, color=COLORS[7], linestyle=":", label="always 1")
    title = f"adding, {figures.timesteps} timesteps: mean squared error"
    add.set(yscale="log", xlabel="k2", title=title)
    add.legend()


DEMONSTRATIONS = {
    "truncation": Demonstration(
        title="Full against truncated back-propagation",
        equation="dL_t/dW = Σ_{k<k2} dL_t/dh_{t-k} · ∂h_{t-k}/∂W: terms of lag k ≥ k2 are left out",
        advice="Make trainer.truncation_length longer than the lag that matters; for one that is longer still, "
        "a state that keeps it anyway (W near the identity, or orthogonal) is the only help.",
        measure=measure,
        sentences=sentences,
        draw=draw,
    )
}
