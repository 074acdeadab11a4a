"""The signatures of a served language model.

generate, sample      text in, text out: the whole loop is in the graph
score, tokenize, inspect      what the model makes of a text
initial_state, step, read, next_log_probs, write      the state goes in and out: texts in pieces, many at once
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from components.exporter.text import GraphTokenizer
from components.exporter.writing import LONGEST_PERIOD, Carry, Controls, Writer, Written, begin
from components.tasks.language_model import LanguageModel, negative_log_likelihood

# `score` reads a text in pieces of this many steps: its memory does not grow with the text's length times the units.
_SCORE_WINDOW = 256
# `generate` draws the random numbers of so many steps at once.
_BLOCK = 64


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
        self._writer = Writer(model, tokenizer.end, tokenizer.unsampled)

    def signatures(self) -> dict[str, Any]:
        """The functions under the names they are served by."""

        def vector(name: str, dtype: tf.DType = tf.int32) -> tf.TensorSpec:
            return tf.TensorSpec([None], dtype, name)

        def matrix(name: str, width: int | None, dtype: tf.DType = tf.int32) -> tf.TensorSpec:
            return tf.TensorSpec([None, width], dtype, name)

        text = vector("text", tf.string)
        controls = [vector("temperature", tf.float32), vector("top_k"), vector("top_p", tf.float32)]
        prompted = [vector("prompt", tf.string), vector("max_length"), *controls, vector("seed", tf.int64)]
        states = {name: matrix(name, self._model.units, tf.float32) for name in self._state_names}
        traced = functools.partial(tf.function, autograph=False)
        generate = traced(self.generate, prompted)
        return {
            "serving_default": generate,
            "generate": generate,
            "sample": traced(
                self.sample, [*prompted, vector("min_length"), vector("repetition_stop"), vector("samples")]
            ),
            "score": traced(self.score, [text]),
            "tokenize": traced(self.tokenize, [text]),
            "inspect": traced(self.inspect, [text]),
            "initial_state": traced(self.initial_state, [tf.TensorSpec([], tf.int32, "batch_size")]),
            "step": traced(self.step).get_concrete_function(token=vector("token", tf.string), **states),
            "read": traced(self.read).get_concrete_function(
                token=vector("token"), ids=matrix("ids", None), count=vector("count"), **states
            ),
            "next_log_probs": traced(self.next_log_probs).get_concrete_function(
                token=vector("token"), ids=matrix("ids", None), **states
            ),
            "write": traced(self.write).get_concrete_function(
                token=vector("token"),
                position=vector("position"),
                left=vector("left"),
                banned=vector("banned"),
                recent=matrix("recent", LONGEST_PERIOD),
                repeats=matrix("repeats", LONGEST_PERIOD),
                given=matrix("given", None),
                given_count=vector("given_count"),
                temperature=vector("temperature", tf.float32),
                top_k=vector("top_k"),
                top_p=vector("top_p", tf.float32),
                seed=vector("seed", tf.int64),
                repetition_stop=vector("repetition_stop"),
                **states,
            ),
        }

    @property
    def _state_names(self) -> list[str]:
        return [f"state_{i}" for i in range(self._model.num_layers)]

    def _ordered(self, states: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        return [states[name] for name in self._state_names]

    def _named(self, states: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(zip(self._state_names, states, strict=True))

    # ---- Text in, text out ------------------------------------------------------------------------------------------

    def generate(
        self,
        prompt: tf.Tensor,
        max_length: tf.Tensor = tf.constant([200]),  # noqa: B008 the signature's defaults are tensors
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
        none = tf.constant([0])
        written = self.sample(prompt, max_length, temperature, top_k, top_p, seed, none, none, tf.constant([1]))
        return {name: written[name] for name in ("text", "log_prob", "finished")}

    def sample(
        self,
        prompt: tf.Tensor,
        max_length: tf.Tensor = tf.constant([200]),  # noqa: B008
        temperature: tf.Tensor = tf.constant([1.0]),  # noqa: B008
        top_k: tf.Tensor = tf.constant([0]),  # noqa: B008
        top_p: tf.Tensor = tf.constant([1.0]),  # noqa: B008
        seed: tf.Tensor = tf.constant([0], tf.int64),  # noqa: B008
        min_length: tf.Tensor = tf.constant([0]),  # noqa: B008
        repetition_stop: tf.Tensor = tf.constant([0]),  # noqa: B008
        samples: tf.Tensor = tf.constant([1]),  # noqa: B008
    ) -> dict[str, tf.Tensor]:
        """`generate` with more controls: several texts for each prompt, not before a length, not in a circle.

        Args:
            prompt, max_length, temperature, top_k, top_p, seed: As `generate`.
            min_length: Tokens to write before `<end>` may come, [1] or [batch].
            repetition_stop: See `Controls`; [1] or [batch].
            samples: Texts for each prompt, [1]; text i of a prompt is the one of seed + i.

        Returns:
            text, log_prob, finished: As `generate`, [batch · samples], those of a prompt beside each other.
            repeated: Whether `repetition_stop` ended it, bool.
            tokens: How many were written, int32.
        """
        batch = tf.shape(prompt)[0]
        samples = tf.maximum(samples[0], 1)

        def of_rows(value: tf.Tensor) -> tf.Tensor:
            return tf.repeat(tf.broadcast_to(value, [batch]), samples)

        seed = of_rows(seed) + tf.tile(tf.range(tf.cast(samples, tf.int64)), [batch])
        controls = Controls(of_rows(temperature), of_rows(top_k), of_rows(top_p), seed, of_rows(repetition_stop))
        ids = self._tokenizer.encode(prompt)
        token, states = self._read_prompt(ids)
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        beginning = (tf.repeat(token, samples), [tf.repeat(state, samples, axis=0) for state in states])
        carry = begin(*beginning, tf.repeat(lengths, samples), of_rows(max_length), of_rows(min_length))

        # It grows with the text, whatever max_length allows. An array that nothing was written to cannot be stacked.
        rows = batch * samples
        blocks = tf.TensorArray(tf.int32, size=1, dynamic_size=True, element_shape=[None, _BLOCK])
        blocks = blocks.write(0, tf.zeros([rows, _BLOCK], tf.int32))

        def write(block: Any, carry: Carry, blocks: Any, written: Written) -> Any:
            carry, tokens, more = self._writer(carry, controls, _BLOCK)
            return block + 1, carry, blocks.write(block, tokens), written.and_then(more)

        loop = (tf.constant(0), carry, blocks, Written.nothing(rows))
        *_, blocks, written = tf.while_loop(lambda _, carry, *__: tf.reduce_any(carry.left > 0), write, loop)
        continuation = tf.reshape(tf.transpose(blocks.stack(), [1, 0, 2]), [rows, -1])
        return {
            "text": self._tokenizer.append(tf.repeat(prompt, samples), continuation, written.count),
            "log_prob": written.log_prob,
            "finished": written.ended,
            "repeated": written.repeated,
            "tokens": written.count,
        }

    def _read_prompt(self, ids: tf.RaggedTensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Reads `<end>` and all of each prompt but its last token; returns that token [batch] and the states."""
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        width = tf.reduce_max(lengths) + 1
        # [batch, width]: filling, `<end>`, the prompt. Short rows are filled up in front: the reset at `<end>` wipes
        # what the filling did to the state, and the last column is the last token of every row.
        rows = tf.reverse_sequence(ids.to_tensor(self._tokenizer.end), lengths, seq_axis=1)
        rows = tf.pad(tf.reverse(rows, [1]), [[0, 0], [2, 0]], constant_values=self._tokenizer.end)
        opening = width - lengths
        reset = tf.range(width)[None] == opening[:, None]
        _, states = self._model(rows[:, :-1], self._model.initial_states(ids.nrows(tf.int32)), reset=reset)
        # An empty prompt opens behind what was read.
        return rows[:, -1], [tf.where((lengths > 0)[:, None], state, 0.0) for state in states]

    # ---- What the model makes of a text -----------------------------------------------------------------------------

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

    def inspect(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the network does at each place of a text: before its first token, and after each.

        Returns:
            log_probs: ln p of each next token, float32 [batch, longest + 1, vocabulary].
            states: h_t of each layer, float32 [batch, longest + 1, layers, units]; that of `<end>` first.
            lengths: tokens of each row, int32 [batch]; what is behind a row's end means nothing.
        """
        ids = self._tokenizer.encode(text)
        tokens = tf.pad(ids.to_tensor(self._tokenizer.end), [[0, 0], [1, 0]], constant_values=self._tokenizer.end)
        logits, sequences = self._model.activity(tokens, self._model.initial_states(ids.nrows(tf.int32)))
        return {
            "log_probs": tf.nn.log_softmax(logits),
            "states": tf.stack(sequences, axis=2),
            "lengths": tf.cast(ids.row_lengths(), tf.int32),
        }

    # ---- The state goes in and out ----------------------------------------------------------------------------------

    def initial_state(self, batch_size: tf.Tensor) -> dict[str, tf.Tensor]:
        """Zero states: state_0 … float32 [batch_size, units]."""
        return self._named(self._model.initial_states(batch_size))

    def step(self, token: tf.Tensor, **states: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads one token a row; `<end>` zeroes the row's state first.

        Returns:
            log_probs: ln p of each next token, float32 [batch, vocabulary], in order of id.
            state_0 …: float32 [batch, units].
        """
        ids = self._tokenizer.encode_tokens(token)
        reset = self._tokenizer.opens_document(token)[:, None]
        logits, final_states = self._model(ids[:, None], self._ordered(states), reset=reset)
        return {"log_probs": tf.nn.log_softmax(logits[:, 0]), **self._named(final_states)}

    def read(self, token: tf.Tensor, ids: tf.Tensor, count: tf.Tensor, **states: tf.Tensor) -> dict[str, tf.Tensor]:
        """Reads the next tokens of prompts, at the speed of matrix products.

        Args:
            token: Id of the last token of each row, not read yet; that of `<end>`, with zero states, at the beginning.
            ids: The tokens after it, int32 [batch, timesteps].
            count: How many of them count, 1 or more, int32 [batch]; ids of any tokens behind those.
            states: state_0 …, before `token` is read, float32 [batch, units].

        Returns:
            token: The last of `ids` that counts, int32 [batch], and state_0 …, before it is read: those of the next
            call.
        """
        read = tf.concat([token[:, None], ids[:, :-1]], axis=1)
        _, sequences = self._model.activity(read, self._ordered(states))
        last = tf.clip_by_value(count, 1, tf.shape(ids)[1]) - 1
        after = [tf.gather(sequence, last, axis=1, batch_dims=1) for sequence in sequences]
        return {"token": tf.gather(ids, last, axis=1, batch_dims=1), **self._named(after)}

    def next_log_probs(self, token: tf.Tensor, ids: tf.Tensor, **states: tf.Tensor) -> dict[str, tf.Tensor]:
        """`read`, and what was to be expected in the place of each of `ids`: a text of any length, piece by piece.

        Returns:
            log_probs: ln p of each token in the place of each of `ids`, float32 [batch, timesteps, vocabulary].
            token, state_0 …: As `read`, where all of `ids` count.
        """
        read = tf.concat([token[:, None], ids[:, :-1]], axis=1)
        logits, final_states = self._model(read, self._ordered(states))
        return {"log_probs": tf.nn.log_softmax(logits), "token": ids[:, -1], **self._named(final_states)}

    def write(self, given: tf.Tensor, given_count: tf.Tensor, **rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Takes `steps` steps of writing: each row reads what is left of its prompt, then goes on writing.

        Args:
            given: The next tokens of each row's prompt, int32 [batch, steps].
            given_count: How many of them count, int32 [batch].
            rows: The fields of `Carry` (state_0 … for `states`) and of `Controls`.

        Returns:
            The fields of `Carry`, for the next call; `tokens` int32 [batch, steps]: those given, then those written,
            anything behind them; and the fields of `Written`.
        """
        states = self._ordered(rows)
        carry = Carry(states=states, **{name: rows[name] for name in Carry._fields if name != "states"})
        controls = Controls(**{name: rows[name] for name in Controls._fields})
        carry, tokens, written = self._writer(carry, controls, tf.shape(given)[1], given, given_count)
        after = carry._asdict()
        return {**self._named(after.pop("states")), **after, "tokens": tokens, **written._asdict()}
