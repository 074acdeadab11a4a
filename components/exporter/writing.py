"""Writes texts token by token in the graph: the loop that `generate`, `sample` and `write` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from components.sampling import random_uniform, sample
from components.tasks.language_model import LanguageModel, negative_log_likelihood

# A text repeats itself if it goes round in a circle of at most this many tokens.
LONGEST_PERIOD = 32


class Controls(NamedTuple):
    """How each row is written; `components.sampling.sample` says what the first three mean.

    Attributes:
        temperature: float32 [batch].
        top_k: int32 [batch].
        top_p: float32 [batch].
        seed: int64 [batch].
        repetition_stop: A text ends when so many of its written tokens in a row equal those p places before them, for
            one p in 1 … `LONGEST_PERIOD`; 0: never. int32 [batch].
    """

    temperature: Any
    top_k: Any
    top_p: Any
    seed: Any
    repetition_stop: Any


class Carry(NamedTuple):
    """What is known of texts between two of their tokens: with it they go on as if they had not been left off.

    Attributes:
        token: The last token, which the network has not read yet, int32 [batch].
        states: Of the network before it reads `token`, a [batch, units] for each layer.
        position: Tokens since `<end>`, int32 [batch].
        left: Tokens that may still be written, int32 [batch]; 0 when the text is done, whatever ended it.
        banned: Tokens that must still be written before `<end>` may come, int32 [batch].
        recent: The last tokens that were written, newest first, -1 for none: int32 [batch, LONGEST_PERIOD].
        repeats: How many written tokens in a row, up to the last one, equal the one 1 … LONGEST_PERIOD places before:
            int32 [batch, LONGEST_PERIOD].
    """

    token: Any
    states: list[Any]
    position: Any
    left: Any
    banned: Any
    recent: Any
    repeats: Any


class Written(NamedTuple):
    """What was added to each row.

    Attributes:
        count: How many tokens were written, without `<end>`: int32 [batch].
        log_prob: ln p of those, and of `<end>` if it came, at temperature 1, summed: float32 [batch].
        ended: Whether `<end>` came, bool [batch].
        repeated: Whether the text ended because it repeats itself, bool [batch].
    """

    count: Any
    log_prob: Any
    ended: Any
    repeated: Any

    @classmethod
    def nothing(cls, batch: Any) -> Written:
        no = tf.zeros([batch], tf.bool)
        return cls(tf.zeros([batch], tf.int32), tf.zeros([batch]), no, no)

    def and_then(self, more: Written) -> Written:
        return Written(
            self.count + more.count,
            self.log_prob + more.log_prob,
            self.ended | more.ended,
            self.repeated | more.repeated,
        )


def begin(token: Any, states: Sequence[Any], position: Any, max_length: Any, min_length: Any) -> Carry:
    """The carry of texts that begin with a prompt (`<end>` for none) of which `token` [batch] is the last."""
    nothing = tf.fill([tf.shape(token)[0], LONGEST_PERIOD], -1)
    left = tf.maximum(max_length, 0)
    return Carry(token, list(states), position, left, min_length, nothing, tf.zeros_like(nothing))


class Writer:
    """Reads the last token of each row and draws the next one, again and again.

    Args:
        model: The language model.
        end: Id of `<end>`.
        unsampled: Ids that never come.
    """

    def __init__(self, model: LanguageModel, end: int, unsampled: Sequence[int]) -> None:
        self._model = model
        self._end = end
        ids = range(model.vocabulary_size)
        self._allowed = tf.constant([float("-inf") if token in unsampled else 0.0 for token in ids])
        self._allowed_before_end = tf.tensor_scatter_nd_update(self._allowed, [[end]], [float("-inf")])

    def __call__(
        self, carry: Carry, controls: Controls, steps: Any, given: Any = None, given_count: Any = None
    ) -> tuple[Carry, Any, Written]:
        """Takes as many steps as asked for, fewer if all rows are done before.

        Args:
            carry, controls: Of the rows.
            steps: int, or int32 [].
            given: The rest of each row's prompt, tokens that come before those that are written, int32 [batch, steps];
                None for none.
            given_count: How many of them, int32 [batch].

        Returns:
            The carry after each row's last step; the tokens int32 [batch, steps], given ones, then those that were
            written, anything behind them; and what was written.
        """
        batch = tf.shape(carry.token)[0]
        # Random numbers belong to places in the text, so that a text written in several calls is the same text. All at
        # once, as their hundred small operations would be half the time of a step.
        place = tf.cast(carry.position[:, None] + tf.range(steps), tf.uint32)  # [batch, steps]
        key = tf.bitcast(controls.seed, tf.uint32)[:, None]  # [batch, 1, low and high half]
        uniform = tf.transpose(random_uniform(key[..., 1], key[..., 0], place))  # [steps, batch]
        prompt_left = tf.zeros([batch], tf.int32) if given is None else given_count

        def is_active(step: Any, carry: Carry) -> Any:
            return (step < prompt_left) | (carry.left > 0)

        def running(step: Any, carry: Carry, *_: Any) -> Any:
            return tf.reduce_any(is_active(step, carry))

        def take(step: Any, carry: Carry, tokens: Any, written: Written) -> Any:
            prompted = None if given is None else (given[:, step], step < prompt_left)
            active = is_active(step, carry)
            carry, token, more = self._step(carry, controls, uniform[step], active, prompted)
            return step + 1, carry, tokens.write(step, token), written.and_then(more)

        # Elements that are not written must be there when the array is stacked.
        tokens = tf.TensorArray(tf.int32, size=steps, element_shape=carry.token.shape)
        tokens = tokens.unstack(tf.zeros(tf.stack([steps, batch]), tf.int32))
        _, carry, tokens, written = tf.while_loop(
            running, take, (tf.constant(0), carry, tokens, Written.nothing(batch)), maximum_iterations=steps
        )
        return carry, tf.transpose(tokens.stack()), written

    def _step(
        self, carry: Carry, controls: Controls, uniform: Any, active: Any, prompted: Any
    ) -> tuple[Carry, Any, Written]:
        logits, states = self._model(carry.token[:, None], carry.states)
        logits = logits[:, 0]  # [batch, vocabulary]
        allowed = tf.where((carry.banned > 0)[:, None], self._allowed_before_end, self._allowed)
        token = sample(logits + allowed, uniform, controls.temperature, controls.top_k, controls.top_p)
        drawn = active
        if prompted is not None:
            given, is_given = prompted
            token = tf.where(is_given, given, token)
            drawn = active & ~is_given
        log_prob = -negative_log_likelihood(logits[:, None], token[:, None])[:, 0]
        ended = drawn & (token == self._end)
        wrote = drawn & ~ended

        repeats = tf.where(carry.recent == token[:, None], carry.repeats + 1, 0)
        stop = controls.repetition_stop
        repeated = wrote & (stop > 0) & (tf.reduce_max(repeats, axis=1) >= stop)
        recent = tf.concat([token[:, None], carry.recent[:, :-1]], axis=1)
        one = tf.cast(wrote, tf.int32)
        after = Carry(
            token=tf.where(active, token, carry.token),
            # Those of a row that is done stay, for who goes on with it later.
            states=[tf.where(active[:, None], *pair) for pair in zip(states, carry.states, strict=True)],
            position=carry.position + tf.cast(active, tf.int32),
            left=tf.where(ended | repeated, 0, carry.left - one),
            banned=carry.banned - one,
            recent=tf.where(wrote[:, None], recent, carry.recent),
            repeats=tf.where(wrote[:, None], repeats, carry.repeats),
        )
        return after, token, Written(one, tf.where(drawn, log_prob, 0.0), ended, repeated)
