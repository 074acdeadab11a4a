"""Encoders: the timesteps of an example to a vector each, and to one for the whole.

x_t = E[token_t], one-hot(token_t), (a_t - mean) / std, or a small network on each image      [batch, timesteps, width]

    rnn           h_t = activation(x_t U + h_{t-1} W + b), stacked, in one or both directions
    positions     h_t = tanh(x_t A + b): the same at every position, and no relation between them
    mean          h = tanh(mean_t(x_t) A + b): what is there, without its order
    concatenate   h = tanh([x_1 … x_T] A + b): every position has weights of its own, up to T of them

The last three are the feed-forward networks that recurrent ones are compared with. Timesteps from a row's length on
are padding: they change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import ops

from components.tasks.initializers import recurrent_initializer as make_initializer
from components.tasks.inputs import Inputs
from custom_layers import Dropout, VanillaRNN


class Encoded(NamedTuple):
    """What an encoder makes of a batch.

    Attributes:
        sequences: h_t, float [batch, timesteps, width]; None for the kinds that keep no positions.
        last: h after the last timestep (of both directions, behind each other), or the one vector of the other kinds:
            float [batch, width].
        mask: True before a row's length, bool [batch, timesteps].
    """

    sequences: Any
    last: Any
    mask: Any


def valid(lengths: Any, timesteps: int) -> Any:
    """Which positions are no padding: bool [batch, timesteps]."""
    return ops.arange(timesteps, dtype="int32")[None] < ops.cast(lengths, "int32")[:, None]


def pool(encoded: Encoded, how: str) -> Any:
    """One vector for each row, float [batch, width].

    Args:
        encoded: Of an encoder.
        how: `last`; or `mean` or `max` over the row's own timesteps. Zeros for a row of none.
    """
    if how == "last" or encoded.sequences is None:
        return encoded.last
    mask = encoded.mask[:, :, None]
    if how == "mean":
        total = ops.sum(ops.where(mask, encoded.sequences, ops.zeros_like(encoded.sequences)), axis=1)
        count = ops.maximum(ops.sum(ops.cast(mask, total.dtype), axis=1), 1)
        return total / count
    highest = ops.max(ops.where(mask, encoded.sequences, ops.full_like(encoded.sequences, -3e38)), axis=1)
    return ops.where(ops.any(mask, axis=1), highest, ops.zeros_like(highest))


@keras.saving.register_keras_serializable(package="components")
class Encoder(keras.layers.Layer):
    """See the module.

    Args:
        kind: `rnn`, `positions`, `mean` or `concatenate`.
        inputs: Arguments of `Inputs`.
        units: Size of each layer's output (of each direction's).
        layers: How many are stacked.
        activation: Of the recurrent layers; the others have tanh.
        bidirectional: A second recurrent network reads each row from its end.
        timesteps: For `concatenate`: positions that are read; later ones are cut off.
        recurrent_initializer: As in `LanguageModel`.
        input_dropout, recurrent_dropout: As in `LanguageModel`.
        seed: Of the initial weights and of dropout.

    Source: bidirectional: Schuster and Paliwal (1997).
    """

    def __init__(
        self,
        kind: str,
        inputs: Mapping[str, Any],
        units: int,
        layers: int = 1,
        activation: str = "tanh",
        *,
        bidirectional: bool = False,
        timesteps: int | None = None,
        recurrent_initializer: str | Mapping[str, float] = "orthogonal",
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.kind, self.inputs_config, self.units, self.num_layers = kind, dict(inputs), units, layers
        self.activation, self.bidirectional, self.timesteps = activation, bidirectional, timesteps
        self.recurrent_initializer, self.seed = recurrent_initializer, seed
        self.input_dropout, self.recurrent_dropout = input_dropout, recurrent_dropout
        self.reader = Inputs(**self.inputs_config, seed=seed, dtype=self.dtype_policy, name="inputs")
        self.drop_input = Dropout(input_dropout, seed=seed + 1, dtype=self.dtype_policy)
        width = self.reader.width * (timesteps or 1) if kind == "concatenate" else self.reader.width
        self.stack = []
        for layer in range(layers):
            made, width = self._layer(layer, width)
            self.stack.append(made)
        self.width = width
        self.built = True

    def _layer(self, layer: int, width: int) -> tuple[Any, int]:
        seed = self.seed + 100 * (layer + 1)
        if self.kind != "rnn":
            dense = keras.layers.Dense(
                self.units,
                activation="tanh",
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                dtype=self.dtype_policy,
                name=f"dense_{layer}",
            )
            dense.build((None, width))
            return dense, self.units

        def rnn(seed: int, **kwargs: Any) -> VanillaRNN:
            return VanillaRNN(
                self.units,
                activation=self.activation,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                recurrent_initializer=make_initializer(self.recurrent_initializer, seed + 1),
                recurrent_dropout=self.recurrent_dropout,
                return_sequences=True,
                return_state=True,
                seed=seed + 2,
                dtype=self.dtype_policy,
                **kwargs,
            )

        if not self.bidirectional:
            made = rnn(seed, name=f"recurrent_{layer}")
            made.build((None, None, width))
            return made, self.units
        # A backward layer of its own: Keras' copy of the forward one would start with the same weights.
        both = keras.layers.Bidirectional(
            rnn(seed, name="forward"),
            backward_layer=rnn(seed + 50, name="backward", go_backwards=True),
            dtype=self.dtype_policy,
            name=f"recurrent_{layer}",
        )
        both.build((None, None, width))
        return both, 2 * self.units

    def call(self, inputs: Any, lengths: Any = None, training: bool = False) -> Encoded:
        """Encodes a batch.

        Args:
            inputs: int [batch, timesteps], or numbers [batch, timesteps, …].
            lengths: int [batch]; None where all timesteps are valid.
            training: Whether dropout is on.
        """
        x = self.reader(inputs)  # [batch, timesteps, width]
        batch, timesteps = ops.shape(x)[:2]
        mask = valid(ops.full((batch,), timesteps, "int32") if lengths is None else lengths, timesteps)
        if self.kind in ("mean", "concatenate"):
            x = self._flat(x, mask, timesteps)
            for dense in self.stack:
                x = dense(self.drop_input(x, training=training))
            return Encoded(None, x, mask)
        last: Any = None
        for layer in self.stack:
            x = self.drop_input(x, training=training)
            if self.kind == "positions":
                x = layer(x)
            else:
                # Without lengths there is no padding, and no mask to slow the recurrence down.
                x, *states = layer(x, mask=None if lengths is None else mask, training=training)
                last = ops.concatenate(states, axis=-1) if len(states) > 1 else states[0]
        if last is None:
            index = ops.maximum(ops.sum(ops.cast(mask, "int32"), axis=1) - 1, 0)
            last = ops.take_along_axis(x, index[:, None, None], axis=1)[:, 0]
        return Encoded(x, last, mask)

    def _flat(self, x: Any, mask: Any, timesteps: Any) -> Any:
        """One vector for each row: the mean of x_t, or all of them behind each other."""
        x = ops.where(mask[:, :, None], x, ops.zeros_like(x))
        if self.kind == "mean":
            return ops.sum(x, axis=1) / ops.maximum(ops.sum(ops.cast(mask, x.dtype), axis=1), 1)[:, None]
        wanted = int(self.timesteps or 0)
        padded = ops.pad(x, [[0, 0], [0, wanted], [0, 0]])[:, :wanted]
        return ops.reshape(padded, (-1, wanted * self.reader.width))

    def get_config(self) -> dict[str, Any]:
        own = ("kind", "units", "activation", "bidirectional", "timesteps", "recurrent_initializer", "seed")
        dropout = ("input_dropout", "recurrent_dropout")
        named = {name: getattr(self, name) for name in (*own, *dropout)}
        return {**super().get_config(), **named, "inputs": self.inputs_config, "layers": self.num_layers}
