"""The signatures of a served language model: generate, initial_state, step and score.

Text goes in and out; the state goes in and out of `step`; the whole sampling loop is in the graph.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.exporter.text import GraphTokenizer
from components.sampling import random_uniform, sample
from components.tasks.language_model import LanguageModel, negative_log_likelihood

# `score` reads a text in pieces of this many steps: its memory does not grow with the text's length times the units.
_SCORE_WINDOW = 256
_DEFAULT_MAX_LENGTH = 200


class ServedModel(tf.Module):
    """Keras model and tokenizer as pure functions of tensors.

    Args:
        model: The language model.
        tokenizer: Text to ids and back.
    """

    def __init__(self, model: LanguageModel, tokenizer: GraphTokenizer) -> None:
        super().__init__()
        self._model = model
        self._tokenizer = tokenizer
        self._banned = tf.scatter_nd(
            [[i] for i in tokenizer.unsampled] or tf.zeros([0, 1], tf.int32),
            [-float("inf")] * len(tokenizer.unsampled),
            [tokenizer.vocabulary_size],
        )

    def signatures(self) -> dict[str, Any]:
        """The functions under the names they are served by."""
        batch = [None]
        state = {f"state_{i}": tf.TensorSpec([None, self._model.units]) for i in range(self._model.num_layers)}
        generate = tf.function(
            self.generate,
            input_signature=[
                tf.TensorSpec(batch, tf.string, "prompt"),
                tf.TensorSpec(batch, tf.int32, "max_length"),
                tf.TensorSpec(batch, tf.float32, "temperature"),
                tf.TensorSpec(batch, tf.int32, "top_k"),
                tf.TensorSpec(batch, tf.float32, "top_p"),
                tf.TensorSpec(batch, tf.int64, "seed"),
            ],
        )
        return {
            "serving_default": generate,
            "generate": generate,
            "initial_state": tf.function(self.initial_state, [tf.TensorSpec([], tf.int32, "batch_size")]),
            "step": tf.function(self.step).get_concrete_function(
                token=tf.TensorSpec(batch, tf.string, "token"),
                **{name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in state.items()},
            ),
            "score": tf.function(self.score, [tf.TensorSpec(batch, tf.string, "text")]),
            "tokenize": tf.function(self.tokenize, [tf.TensorSpec(batch, tf.string, "text")]),
        }

    def generate(
        self,
        prompt: tf.Tensor,
        max_length: tf.Tensor = tf.constant([_DEFAULT_MAX_LENGTH]),  # noqa: B008 the signature's defaults are tensors
        temperature: tf.Tensor = tf.constant([1.0]),  # noqa: B008
        top_k: tf.Tensor = tf.constant([0]),  # noqa: B008
        top_p: tf.Tensor = tf.constant([1.0]),  # noqa: B008
        seed: tf.Tensor = tf.constant([0], tf.int64),  # noqa: B008
    ) -> dict[str, tf.Tensor]:
        """Continues each prompt, until `<end>` or `max_length` tokens.

        Args:
            prompt: Strings [batch]; "" starts a new document.
            max_length, temperature, top_k, top_p, seed: [1] or [batch]; see `components.sampling.sample`.

        Returns:
            text: prompt + continuation, string [batch].
            log_prob: ln p of the generated tokens (`<end>`, if it came, included) at temperature 1, float32 [batch].
            finished: whether `<end>` came, bool [batch].
        """
        batch = tf.shape(prompt)[0]
        max_length, temperature, top_k, top_p, seed = (
            tf.broadcast_to(value, [batch]) for value in (max_length, temperature, top_k, top_p, seed)
        )
        seed = tf.bitcast(seed, tf.uint32)  # [batch, 2]
        ids = self._tokenizer.encode(prompt)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        logits, states = self._read_prompt(ids)

        steps = tf.maximum(tf.reduce_max(max_length), 0)
        # It grows with the text, whatever max_length allows. An array that nothing was written to cannot be stacked,
        # so element 0 is there from the start, and step s writes element s + 1.
        written = tf.TensorArray(tf.int32, size=1, dynamic_size=True, element_shape=[None])
        written = written.write(0, tf.zeros_like(max_length))
        log_prob = tf.zeros([batch])
        written_lengths = tf.zeros([batch], tf.int32)
        finished = tf.zeros([batch], tf.bool)
        active = max_length > 0

        def running(step: tf.Tensor, active: tf.Tensor, *_: Any) -> tf.Tensor:
            return (step < steps) & tf.reduce_any(active)

        def write(
            step: Any, active: Any, finished: Any, logits: Any, states: Any, log_prob: Any, n: Any, out: Any
        ) -> Any:
            # The random number belongs to the place in the text, so a text continued in two calls is the same text.
            position = tf.cast(lengths + step, tf.uint32)
            uniform = random_uniform(seed[:, 1], seed[:, 0], position)
            token = sample(logits + self._banned, uniform, temperature, top_k, top_p)
            chosen = -negative_log_likelihood(logits[:, None], token[:, None])[:, 0]
            log_prob += tf.where(active, chosen, 0.0)
            ended = active & (token == self._tokenizer.end)
            finished |= ended
            n += tf.cast(active & ~ended, tf.int32)
            active &= ~ended & (step + 1 < max_length)
            out = out.write(step + 1, token)
            logits, states = self._model(token[:, None], states)
            return step + 1, active, finished, logits[:, 0], states, log_prob, n, out

        loop = (tf.constant(0), active, finished, logits, states, log_prob, written_lengths, written)
        *_, finished, _, _, log_prob, written_lengths, written = tf.while_loop(running, write, loop)
        continuation = tf.transpose(written.stack())[:, 1:]  # [batch, steps until the last row ended]
        text = self._tokenizer.append(prompt, continuation, written_lengths)
        return {"text": text, "log_prob": log_prob, "finished": finished}

    def _read_prompt(self, ids: tf.RaggedTensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Logits after `<end>` and the prompt, [batch, vocabulary], and the states."""
        batch = ids.nrows(tf.int32)
        # Short rows are filled up in front: the reset at `<end>` wipes what the filling did to the state, and the last
        # column is the last character of every row.
        longest = tf.cast(tf.reduce_max(ids.row_lengths()), tf.int32) + 1
        rows = ids.to_tensor(self._tokenizer.end)
        rows = tf.reverse(tf.reverse_sequence(rows, ids.row_lengths(), seq_axis=1), [1])
        tokens = tf.pad(rows, [[0, 0], [1, 0]], constant_values=self._tokenizer.end)
        opening = longest - 1 - tf.cast(ids.row_lengths(), tf.int32)
        reset = tf.range(longest)[None] == opening[:, None]
        logits, states = self._model(tokens, self._model.initial_states(batch), reset=reset)
        return logits[:, -1], states

    def initial_state(self, batch_size: tf.Tensor) -> dict[str, tf.Tensor]:
        """Zero states for `step`: state_0 … float32 [batch_size, units]."""
        return {f"state_{i}": state for i, state in enumerate(self._model.initial_states(batch_size))}

    def step(self, token: tf.Tensor, **states: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads one token a row; `<end>` zeroes the row's state first.

        Returns:
            log_probs: ln p of each next token, float32 [batch, vocabulary], in order of id.
            state_0 …: float32 [batch, units].
        """
        ids = self._tokenizer.encode_tokens(token)
        ordered = [states[f"state_{i}"] for i in range(self._model.num_layers)]
        reset = self._tokenizer.opens_document(token)[:, None]
        logits, final_states = self._model(ids[:, None], ordered, reset=reset)
        named = {f"state_{i}": state for i, state in enumerate(final_states)}
        return {"log_probs": tf.nn.log_softmax(logits[:, 0]), **named}

    def score(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """ln p of each text as a whole document: of its tokens and the `<end>` after them.

        Returns:
            log_prob: nats, summed, float32 [batch].
            tokens: tokens of the text + 1, int32 [batch].
        """
        ids = self._tokenizer.encode(text)
        batch = ids.nrows(tf.int32)
        tokens = tf.cast(ids.row_lengths(), tf.int32) + 1
        windows = -(-tf.maximum(tf.reduce_max(tokens), 1) // _SCORE_WINDOW)
        # [batch, windows × window + 1]: `<end>`, the tokens, and `<end>` up to the end of the last window.
        rows = ids.to_tensor(self._tokenizer.end)
        filling = windows * _SCORE_WINDOW - tf.shape(rows)[1]
        padded = tf.pad(rows, [[0, 0], [1, filling]], constant_values=self._tokenizer.end)

        def read(window: tf.Tensor, states: list[tf.Tensor], log_prob: tf.Tensor) -> Any:
            start = window * _SCORE_WINDOW
            piece = padded[:, start : start + _SCORE_WINDOW + 1]
            positions = start + tf.range(_SCORE_WINDOW)[None]
            logits, states = self._model(tf.ensure_shape(piece[:, :-1], [None, _SCORE_WINDOW]), states)
            nats = negative_log_likelihood(logits, piece[:, 1:])
            # Summed in float64: a long text has more terms than float32 has digits.
            counted = tf.where(positions < tokens[:, None], tf.cast(nats, tf.float64), 0.0)
            return window + 1, states, log_prob - tf.reduce_sum(counted, axis=1)

        loop = (tf.constant(0), self._model.initial_states(batch), tf.zeros([batch], tf.float64))
        *_, log_prob = tf.while_loop(lambda window, *_: window < windows, read, loop)
        return {"log_prob": tf.cast(log_prob, tf.float32), "tokens": tokens}

    def tokenize(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """The tokens of each text, as `step` reads them one by one.

        Returns:
            tokens: strings [batch, longest], "" behind the end of a row; `<unk>` for what is not in the vocabulary.
            ids: int32 [batch, longest], 0 behind the end of a row.
            lengths: tokens of each row, int32 [batch].
        """
        ids = self._tokenizer.encode(text)
        return {
            "tokens": self._tokenizer.token_strings(ids).to_tensor(""),
            "ids": ids.to_tensor(0),
            "lengths": tf.cast(ids.row_lengths(), tf.int32),
        }
