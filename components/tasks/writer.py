"""A decoder that writes a sequence of tokens from a context, until one of three rules ends it.

h_t = ContextDecoder(E[y_{t-1}], C), y_0 = <end>            see `custom_layers.context_decoder`
p(y_t) = softmax(h_t V + c)

    end_token     <end> is the last target: n + 1 predictions for n tokens
    stop_head     an output more, s_t = σ(h_t w + b): y_t is the last token           binary cross-entropy
    length_head   an output of C, log τ = C w + b, and exactly round(τ) tokens        squared error
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from components.decoding import Decoded, StopRule, beam_search, repeat_rows
from components.tasks.initializers import recurrent_initializer as make_initializer
from custom_layers import ContextDecoder, Dropout, LengthHead, StopHead, TokenEmbedding


@keras.saving.register_keras_serializable(package="components")
class Writer(keras.layers.Layer):
    """See the module.

    Args:
        vocabulary_size: Number of token ids.
        end: Id of `<end>`, which opens every sequence.
        banned: Ids that are never written.
        context_width: Width of C.
        units, layers: Of the decoder.
        embedding: Width of the tokens' table.
        activation: Of the decoder.
        context: Where C goes in: `initial`, `every` or `both`.
        stop: What ends a sequence.
        max_length: Tokens at most.
        recurrent_initializer: As in `LanguageModel`.
        input_dropout, recurrent_dropout, output_dropout: As in `LanguageModel`.
        seed: Of the initial weights and of dropout.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.2.3 (the three rules) and 10.2.4.
    """

    def __init__(
        self,
        vocabulary_size: int,
        end: int,
        banned: Sequence[int],
        context_width: int,
        units: int,
        layers: int,
        embedding: int,
        activation: str = "tanh",
        context: str = "both",
        stop: StopRule = "end_token",
        max_length: int = 50,
        *,
        recurrent_initializer: str | Mapping[str, float] = "orthogonal",
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        output_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.end, self.banned = vocabulary_size, end, list(banned)
        self.context_width, self.units, self.num_layers, self.embedding = context_width, units, layers, embedding
        self.activation, self.context, self.stop, self.max_length = activation, context, stop, max_length
        self.input_dropout, self.recurrent_dropout, self.output_dropout = (
            input_dropout,
            recurrent_dropout,
            output_dropout,
        )
        self.recurrent_initializer, self.seed = recurrent_initializer, seed
        dtype = self.dtype_policy
        self.table = TokenEmbedding(vocabulary_size, embedding, seed=seed, dtype=dtype, name="table")
        self.table.build()
        self.decoder = ContextDecoder(
            units,
            layers,
            context,
            activation,
            input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout,
            recurrent_initializer=make_initializer(recurrent_initializer, seed + 1),
            seed=seed + 1,
            dtype=dtype,
            name="decoder",
        )
        self.decoder.build((None, None, embedding), (None, context_width))
        self.drop_output = Dropout(output_dropout, seed=seed + 2, dtype=dtype)
        self.readout = keras.layers.Dense(
            vocabulary_size,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 3),
            dtype=dtype,
            name="readout",
        )
        self.readout.build((None, None, units))
        self.head: Any = None
        if stop == "stop_head":
            self.head = StopHead(dtype=dtype, name="stop")
            self.head.build((None, None, units))
        elif stop == "length_head":
            self.head = LengthHead(dtype=dtype, name="length")
            self.head.build((None, context_width))
        self.built = True

    def loss_of(self, context: Any, target: Any, lengths: Any, weights: Any, training: bool) -> tuple[Any, Any, int]:
        """Computes what it costs to write the targets.

        Args:
            context: C, float [batch, context_width].
            target: int32 [batch, timesteps], zeros after the end.
            lengths: Tokens of each row, int32 [batch].
            weights: Of the rows, float32 [batch].
            training: Whether dropout is on.

        Returns:
            Weighted sum of -ln p and of the head's loss; sum of the weights of all predicted tokens; how many there
            is room for.
        """
        batch, timesteps = target.shape
        first = ops.full((batch, 1), self.end, "int32")
        position = ops.arange(timesteps + 1, dtype="int32")
        ends = lengths[:, None]
        inputs = ops.concatenate([first, target], axis=1)  # [batch, timesteps + 1]
        if self.stop == "end_token":
            targets = ops.where(position == ends, self.end, ops.pad(target, [[0, 0], [0, 1]]))
            counted = position <= ends
        else:
            inputs, targets, position = inputs[:, :-1], target, position[:-1]
            counted = position < ends
        outputs, _ = self.decoder(self.table(inputs), context, training=training)  # [batch, timesteps (+ 1), units]
        logits = self._logits(self.drop_output(outputs, training=training))
        each = ops.cast(counted, "float32") * weights[:, None]
        nats = ops.sparse_categorical_crossentropy(targets, logits, from_logits=True)
        total = ops.sum(nats * each)
        if self.stop == "stop_head":
            total = total + ops.sum(StopHead.loss(self.head(outputs), position == ends - 1, each))
        elif self.stop == "length_head":
            total = total + ops.sum(LengthHead.loss(self.head(context), ops.maximum(lengths, 1)) * weights)
        return total, ops.sum(each), math.prod(targets.shape)

    def write(self, context: Any, width: int = 1, active_width: Any = None) -> Decoded:
        """Writes a sequence for each row; see `components.decoding.beam_search`.

        Args:
            context: C, float [batch, context_width].
            width: Hypotheses of the search; 1 is greedy.
            active_width: Hypotheses that count, int32 [batch], not known before the graph is made.
        """
        offsets = [repeat_rows(offset, width) for offset in self.decoder.offsets(context)]

        def step(tokens: Any, states: Any) -> tuple[Any, Any, Any]:
            outputs, states = self.decoder.decode(self.table(tokens[:, None]), offsets, states)
            log_odds = self.head(outputs[:, 0]) if self.stop == "stop_head" else None
            return ops.log_softmax(self._logits(outputs[:, 0])), log_odds, states

        lengths = LengthHead.length(self.head(context), self.max_length) if self.stop == "length_head" else None
        return beam_search(
            step,
            self.decoder.initial_states(context),
            start_token=self.end,
            end_token=self.end,
            pad_token=0,
            batch=ops.shape(context)[0],
            vocabulary=self.vocabulary_size,
            width=width,
            max_length=self.max_length,
            stop=self.stop,
            lengths=lengths,
            banned=self.banned,
            active_width=active_width,
        )

    def _logits(self, outputs: Any) -> Any:
        return ops.cast(self.readout(outputs), "float32")

    def get_config(self) -> dict[str, Any]:
        own = ("vocabulary_size", "end", "banned", "context_width", "units", "embedding", "activation", "context")
        more = ("stop", "max_length", "recurrent_initializer", "seed")
        dropout = ("input_dropout", "recurrent_dropout", "output_dropout")
        named = {name: getattr(self, name) for name in (*own, *more, *dropout)}
        return {**super().get_config(), **named, "layers": self.num_layers}
