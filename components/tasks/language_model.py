"""The language model: a pure function (tokens, states, reset) → (logits, states), many-to-many, shifted by one.

x_t = one-hot(token_t)                          [batch, vocabulary]; or E[token_t]   [batch, embedding]
h_t^1 = activation(x_t U^1 + h_{t-1}^1 W^1 + b^1)      [batch, units]
h_t^l = activation(h_t^{l-1} U^l + h_{t-1}^l W^l + b^l)       or with [h_t^{l-1}, x_t] for h_t^{l-1}: skip connections
o_t = h_t^layers V + c                          [batch, vocabulary]; or h_t^layers Eᵀ + c: tied
p(token_{t+1} | token_1 … token_t) = softmax(o_t)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from components.tasks.initializers import recurrent_initializer as make_initializer
from components.tasks.task import Loss, TaskModel
from custom_layers import Dropout, TiedReadout, TokenEmbedding, VanillaRNN, checks
from pipeline.config import ModelConfig


@keras.saving.register_keras_serializable(package="components")
class LanguageModel(TaskModel):
    """Stacked VanillaRNN layers and a readout.

    The state goes in and out of every call; the model keeps none.

    Args:
        vocabulary_size: Number of token ids.
        units: Size of each layer's state.
        layers: Number of VanillaRNN layers.
        activation: Name of a Keras activation.
        seed: Seed of the initial weights and of the dropout masks.
        dtype: Dtype or dtype policy of the layers; logits are float32 whatever it is.
        embedding: Width of the table that tokens are looked up in; None for one-hot inputs.
        tied: The readout multiplies by the transposed table; `embedding` must equal `units`.
        skip_connections: Each layer after the first reads x_t, too, behind the output of the layer below.
        recurrent_initializer: "orthogonal", "identity" or {"spectral_radius": r}.
        input_dropout: Share of what each recurrent layer reads that training drops, anew at each timestep.
        recurrent_dropout: Share of h_{t-1} that training drops where it meets W, the same at all timesteps of a call.
        output_dropout: Share of what the readout reads that training drops, anew at each timestep.

    Raises:
        TypeError, ValueError: A dropout outside [0, 1), an unknown initialiser, or `tied` with another width.

    Example:
        >>> model = LanguageModel(vocabulary_size=5, units=8, layers=2)
        >>> logits, states = model(np.array([[0, 1, 2]]), model.initial_states(1))
        >>> logits.shape
        (1, 3, 5)

    Source: Elman (1990); Goodfellow, Bengio and Courville (2016), equations 10.8 to 10.11; Karpathy (2015), char-rnn.
        Input and output dropout: Zaremba et al. (2014). Recurrent: Gal and Ghahramani (2016). Skips: Graves (2013).
    """

    task: ClassVar[str] = "language_model"

    def __init__(
        self,
        vocabulary_size: int,
        units: int,
        layers: int,
        activation: str = "tanh",
        seed: int = 0,
        dtype: Any = None,
        *,
        embedding: int | None = None,
        tied: bool = False,
        skip_connections: bool = False,
        recurrent_initializer: str | Mapping[str, float] = "orthogonal",
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        output_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype=dtype, **kwargs)
        if tied and embedding != units:
            raise ValueError(
                "LanguageModel: tied must come with an embedding as wide as the state. Received: "
                f"embedding={embedding!r}, units={units!r}. Pass embedding={units!r}."
            )
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.num_layers = layers
        self.activation = activation
        self.seed = seed
        self.embedding = embedding
        self.tied = tied
        self.skip_connections = skip_connections
        self.recurrent_initializer = recurrent_initializer
        self.input_dropout = checks.rate("LanguageModel", "input_dropout", input_dropout)
        self.recurrent_dropout = checks.rate("LanguageModel", "recurrent_dropout", recurrent_dropout)
        self.output_dropout = checks.rate("LanguageModel", "output_dropout", output_dropout)
        self._create_layers()
        self.built = True

    def _create_layers(self) -> None:
        # One seed for each initialiser: equal seeds would give layers of one shape equal weights. The recurrent layers
        # and the readout use some of those below seed + 3 · layers.
        seed, free_seed = self.seed, self.seed + 3 * self.num_layers
        self.table: Any = None
        if self.embedding is not None:
            self.table = TokenEmbedding(
                self.vocabulary_size, self.embedding, seed=free_seed, dtype=self.dtype_policy, name="table"
            )
            self.table.build()
        self.recurrent_layers = [
            VanillaRNN(
                self.units,
                activation=self.activation,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 3 * layer),
                recurrent_initializer=make_initializer(self.recurrent_initializer, seed + 3 * layer + 1),
                recurrent_dropout=self.recurrent_dropout,
                return_sequences=True,
                return_state=True,
                seed=free_seed + 3 + layer,
                dtype=self.dtype_policy,
                name=f"recurrent_{layer}",
            )
            for layer in range(self.num_layers)
        ]
        self.drop_input = Dropout(self.input_dropout, seed=free_seed + 1, dtype=self.dtype_policy)
        self.drop_output = Dropout(self.output_dropout, seed=free_seed + 2, dtype=self.dtype_policy)
        width = x_width = self.embedding or self.vocabulary_size
        for recurrent in self.recurrent_layers:
            recurrent.build((None, None, width))
            width = self.units + (x_width if self.skip_connections else 0)

        self.readout: Any
        if self.tied:
            self.readout = TiedReadout(dtype=self.dtype_policy, name="readout")
            self.readout.build((None, None, self.units), self.table.embeddings.shape)
        else:
            self.readout = keras.layers.Dense(
                self.vocabulary_size,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2),
                dtype=self.dtype_policy,
                name="readout",
            )
            self.readout.build((None, None, self.units))

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
        logits, final_states, _ = self._run(tokens, states, reset, training, probes)
        return logits, final_states

    def activity(self, tokens: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """As a call, but returns h_t of every layer instead of the final states: a [batch, timesteps, units] each."""
        logits, _, sequences = self._run(tokens, states, None, False, None)
        return logits, sequences

    def _run(
        self, tokens: Any, states: Sequence[Any], reset: Any, training: bool, probes: Sequence[tuple[Any, Any]] | None
    ) -> tuple[Any, list[Any], list[Any]]:
        """Logits, final states, and the states at all timesteps."""
        if self.table is None:
            x = ops.one_hot(tokens, self.vocabulary_size, dtype=self.compute_dtype)  # [batch, timesteps, vocabulary]
        else:
            x = self.table(tokens)  # [batch, timesteps, embedding]
        sequences = x
        final_states: list[Any] = []
        every: list[Any] = []
        pairs = [(None, None)] * self.num_layers if probes is None else probes
        for layer, state, (offset, shift) in zip(self.recurrent_layers, states, pairs, strict=True):
            if self.skip_connections and final_states:  # not for the first layer
                sequences = ops.concatenate([sequences, x], axis=-1)  # [batch, timesteps, units + width of x]
            sequences = self.drop_input(sequences, training=training)
            sequences, final_state = layer(
                sequences, initial_state=state, reset=reset, training=training, offset=offset
            )
            sequences = sequences if shift is None else sequences + shift
            final_states.append(final_state)
            every.append(sequences)
        sequences = self.drop_output(sequences, training=training)
        logits = self.readout(sequences, self.table.embeddings) if self.tied else self.readout(sequences)
        return ops.cast(logits, "float32"), final_states, every

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Sums the weighted -ln p of a `Window` [batch, timesteps], in nats."""
        carry = batch.inputs.shape[1] - context
        parts = [slice(0, carry), slice(carry, None)] if context else [slice(None)]
        logits: list[Any] = []
        carried: list[list[Any]] = []
        for part in parts:
            some = None if probes is None else [(offset[:, part], shift[:, part]) for offset, shift in probes]
            outputs, states = self(batch.inputs[:, part], states, batch.reset[:, part], training=training, probes=some)
            logits.append(outputs)
            carried.append(list(states))
        nats = negative_log_likelihood(ops.concatenate(logits, axis=1), batch.targets)  # [batch, timesteps]
        positions = math.prod(batch.weights[:, context:].shape)
        return Loss(ops.sum(nats * batch.weights), ops.sum(batch.weights), positions, carried[0])

    def architecture(self) -> dict[str, Any]:
        return {
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "layers": self.num_layers,
            "activation": self.activation,
            "embedding": self.embedding,
            "tied": self.tied,
            "skip_connections": self.skip_connections,
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **self.architecture(),
            "seed": self.seed,
            "recurrent_initializer": self.recurrent_initializer,
            "input_dropout": self.input_dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "output_dropout": self.output_dropout,
        }


def build(config: ModelConfig, vocabulary_size: int, seed: int = 0, dtype: Any = None) -> LanguageModel:
    """The model that a configuration describes, with its initial weights."""
    initializer = config.recurrent_initializer
    return LanguageModel(
        vocabulary_size=vocabulary_size,
        units=config.units,
        layers=config.layers,
        activation=config.activation,
        seed=seed,
        dtype=dtype,
        embedding=config.embedding,
        tied=config.tied,
        skip_connections=config.skip_connections,
        recurrent_initializer=initializer if isinstance(initializer, str) else initializer.model_dump(),
        input_dropout=config.dropout.input,
        recurrent_dropout=config.dropout.recurrent,
        output_dropout=config.dropout.output,
    )


def negative_log_likelihood(logits: Any, targets: Any) -> Any:
    """-ln p(target) of each position, in nats.

    Args:
        logits: float32 [batch, timesteps, vocabulary].
        targets: int32 [batch, timesteps].

    Returns:
        float32 [batch, timesteps].
    """
    return ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
