"""The language model: a pure function (tokens, states, reset) → (logits, states), many-to-many, shifted by one.

x_t = one-hot(token_t)                          [batch, vocabulary]
h_t^1 = activation(x_t U^1 + h_{t-1}^1 W^1 + b^1)      [batch, units]
h_t^l = activation(h_t^{l-1} U^l + h_{t-1}^l W^l + b^l)
o_t = h_t^layers V + c                          [batch, vocabulary]
p(token_{t+1} | token_1 … token_t) = softmax(o_t)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from custom_layers import VanillaRNN

ARCHITECTURE = "model.json"
WEIGHTS = "model.weights.h5"


@keras.saving.register_keras_serializable(package="components")
class LanguageModel(keras.Model):
    """Stacked VanillaRNN layers and a readout.

    The state goes in and out of every call; the model keeps none.

    Args:
        vocabulary_size: Number of token ids.
        units: Size of each layer's state.
        layers: Number of VanillaRNN layers.
        activation: Name of a Keras activation.
        seed: Seed of the initial weights.
        dtype: Dtype or dtype policy of the layers; logits are float32 whatever it is.

    Example:
        >>> model = LanguageModel(vocabulary_size=5, units=8, layers=2)
        >>> logits, states = model(np.array([[0, 1, 2]]), model.initial_states(1))
        >>> logits.shape
        (1, 3, 5)

    Source: Elman (1990); Goodfellow, Bengio and Courville (2016), equations 10.8 to 10.11; Karpathy (2015), char-rnn.
    """

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        layers: int,
        activation: str = "tanh",
        seed: int = 0,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.num_layers = layers
        self.activation = activation
        self.seed = seed
        self.recurrent_layers = [
            VanillaRNN(
                units,
                activation=activation,
                # One seed for each initialiser: equal seeds would give layers of one shape equal weights.
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 3 * layer),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 3 * layer + 1),
                return_sequences=True,
                return_state=True,
                dtype=self.dtype_policy,
                name=f"recurrent_{layer}",
            )
            for layer in range(layers)
        ]
        self.readout = keras.layers.Dense(
            vocabulary_size,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2),
            dtype=self.dtype_policy,
            name="readout",
        )
        width = vocabulary_size
        for recurrent in self.recurrent_layers:
            recurrent.build((None, None, width))
            width = units
        self.readout.build((None, None, units))
        self.built = True

    def initial_states(self, batch_size: int) -> list[Any]:
        """Zero states: one [batch_size, units] for each layer."""
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in self.recurrent_layers]

    def call(
        self,
        tokens: Any,
        states: Sequence[Any],
        reset: Any = None,
        training: bool = False,
        probes: Sequence[tuple[Any, Any]] | None = None,
    ) -> tuple[Any, list[Any]]:
        """Reads tokens.

        Args:
            tokens: int32 [batch, timesteps].
            states: A state [batch, units] for each layer.
            reset: bool [batch, timesteps] or None; True zeroes the states of that row before that step.
            training: Passed on to the layers.
            probes: For each layer a pair (offset, shift), float [batch, timesteps, units], or None. The offset is
                added before the activation; the shift to h_t as the next layer and the readout see it, not as the layer
                itself does at t + 1. They are zeros, to differentiate by: dL/doffset_t = dL/da_t, with
                a_t = x_t U + h_{t-1} W + b, and dL/dh_t = dL/dshift_t + dL/da_{t+1} Wᵀ, the latter unless reset_{t+1}.

        Returns:
            Logits float32 [batch, timesteps, vocabulary] of the token after each of `tokens`, and the states after
            the last step.
        """
        sequences = ops.one_hot(tokens, self.vocabulary_size, dtype=self.compute_dtype)
        final_states = []
        pairs = [(None, None)] * self.num_layers if probes is None else probes
        for layer, state, (offset, shift) in zip(self.recurrent_layers, states, pairs, strict=True):
            sequences, final_state = layer(
                sequences, initial_state=state, reset=reset, training=training, offset=offset
            )
            sequences = sequences if shift is None else sequences + shift
            final_states.append(final_state)
        return ops.cast(self.readout(sequences), "float32"), final_states

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "layers": self.num_layers,
            "activation": self.activation,
            "seed": self.seed,
        }


def negative_log_likelihood(logits: Any, targets: Any) -> Any:
    """-ln p(target) of each position, in nats.

    Args:
        logits: float32 [batch, timesteps, vocabulary].
        targets: int32 [batch, timesteps].

    Returns:
        float32 [batch, timesteps].
    """
    return ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)


def window_nats(model: LanguageModel, window: Any, states: Sequence[Any], context: int = 0) -> tuple[Any, list[Any]]:
    """The loss of a training step, and the states to carry to the next one.

    Args:
        model: Called as in training.
        window: A `Window` of [batch, timesteps].
        states: A state [batch, units] for each layer, before the window.
        context: The states to carry are those after timesteps - context; the next window overlaps with this one.

    Returns:
        Sum of the weighted nats, and a state for each layer.
    """
    carry = window.inputs.shape[1] - context
    logits, carried = model(window.inputs[:, :carry], states, reset=window.reset[:, :carry], training=True)
    if context:
        rest, _ = model(window.inputs[:, carry:], carried, reset=window.reset[:, carry:], training=True)
        logits = ops.concatenate([logits, rest], axis=1)
    return ops.sum(negative_log_likelihood(logits, window.targets) * window.weights), carried


def save(model: LanguageModel, folder: Path) -> None:
    """Writes architecture and weights; either backend reads them."""
    architecture = {
        "vocabulary_size": model.vocabulary_size,
        "units": model.units,
        "layers": model.num_layers,
        "activation": model.activation,
    }
    (folder / ARCHITECTURE).write_text(json.dumps(architecture, indent=1) + "\n", encoding="utf-8")
    model.save_weights(folder / WEIGHTS)


def load(folder: Path) -> LanguageModel:
    """Rebuilds what `save` wrote, in float32.

    Raises:
        ValueError: The folder holds no model.
    """
    try:
        architecture = json.loads((folder / ARCHITECTURE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"LanguageModel: a folder must hold a readable {ARCHITECTURE}. Received: {folder} ({error}). "
            "Run the trainer stage again."
        ) from error
    model = LanguageModel(**architecture)
    try:
        model.load_weights(folder / WEIGHTS)
    except OSError as error:
        raise ValueError(
            f"LanguageModel: a folder must hold readable weights. Received: {folder / WEIGHTS} ({error}). "
            "Run the trainer stage again."
        ) from error
    return model
