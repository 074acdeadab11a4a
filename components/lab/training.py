"""A language model of one VanillaRNN over characters, trained with Keras' own fit; bits per character by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from components.lab.layers import rnn

BATCH = 16
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Curves:
    """Bits per character, each window read from a zero state.

    Attributes:
        train: Mean over an epoch's steps, while it is trained, [epochs].
        test: After each epoch, [epochs].
    """

    train: np.ndarray
    test: np.ndarray


def learn(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    units: int,
    epochs: int,
    seed: int,
    **arguments: Any,
) -> Curves:
    """Trains x_t → h_t → o_t = h_t V + c on windows with Adam.

    Args:
        train, test: Inputs float32 [windows, length, features], one-hot; targets int32 [windows, length].
        units: Of the layer.
        epochs: Passes over `train`.
        seed: Of weights and order.
        arguments: Of the layer.
    """
    # Shuffled here, once: Keras' own shuffling would draw from a global generator.
    order = np.random.default_rng(seed).permutation(len(train[0]))
    features = train[0].shape[2]
    readout = keras.layers.Dense(features, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2))
    layer = rnn(units, features, seed, return_sequences=True, **arguments)
    model = keras.Sequential([keras.Input(train[0].shape[1:]), layer, readout])
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        *(array[order] for array in train),
        batch_size=BATCH,
        epochs=epochs,
        validation_data=test,
        shuffle=False,
        verbose=0,
    ).history
    return Curves(*(np.asarray(history[key]) / math.log(2) for key in ("loss", "val_loss")))
