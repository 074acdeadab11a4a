"""Greedy and beam search in the graph: the most likely sequences of a recurrent decoder, whatever ends them.

Written in keras.ops: the same under TensorFlow (traced, with and without XLA, any batch size) and under JAX.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
from keras import ops

from components.top_k import top_k

StopRule = Literal["end_token", "stop_head", "length_head"]
Step = Callable[[Any, Any], tuple[Any, Any, Any]]
_NEVER = -float("inf")


class Decoded(NamedTuple):
    """What a search found, one sequence for each row.

    Attributes:
        tokens: int32 [batch, max_length], `pad_token` behind the end; the end token is not among them.
        lengths: Tokens before the padding, int32 [batch].
        log_prob: ln p of the tokens and of what ended them, nats, float32 [batch].
        finished: Whether the sequence ended, other than by `max_length`, bool [batch].
    """

    tokens: Any
    lengths: Any
    log_prob: Any
    finished: Any


class _Hypotheses(NamedTuple):
    """The sequences that still grow, best first; log_prob is -inf where there is none."""

    tokens: Any  # int32 [batch, width, max_length]
    last: Any  # int32 [batch, width]: what the step reads next
    log_prob: Any  # float32 [batch, width]
    states: Any  # list of [batch · width, …]


class _Ended(NamedTuple):
    """The best sequence that ended, and how many did; score is -inf if none did."""

    tokens: Any  # int32 [batch, max_length]
    lengths: Any  # int32 [batch]
    log_prob: Any  # float32 [batch]
    score: Any  # float32 [batch]
    count: Any  # int32 [batch]


def repeat_rows(x: Any, width: int) -> Any:
    """Gives each row to all its hypotheses: row b comes to the rows b · width … b · width + width - 1.

    For what a step reads and does not change, as a context: once, before the search.

    Args:
        x: [batch, …].
        width: Hypotheses of a row.

    Returns:
        [batch · width, …].
    """
    batch, *rest = ops.shape(x)
    return ops.reshape(ops.broadcast_to(x[:, None], (batch, width, *rest)), (batch * width, *rest))


def greedy_search(step: Step, states: Any, **arguments: Any) -> Decoded:
    """Takes the most likely token at each step; a stop head ends a sequence where s_t > 0.5.

    Args:
        step, states, arguments: Those of `beam_search`, without `width`, `active_width` and `length_penalty`.

    Returns:
        One sequence for each row.
    """
    return beam_search(step, states, width=1, **arguments)


def beam_search(
    step: Step,
    states: Any,
    *,
    start_token: Any,
    end_token: int,
    pad_token: int,
    batch: Any,
    vocabulary: int,
    width: int,
    max_length: int,
    stop: StopRule = "end_token",
    lengths: Any = None,
    banned: Sequence[int] = (),
    length_penalty: Any = 1.0,
    active_width: Any = None,
) -> Decoded:
    """Searches for the sequence of the highest score, keeping the `width` most likely beginnings of each row.

        score = ln p / n^length_penalty

    n counts the tokens, and the end token where there is one. At each step the `width` best of all continuations are
    looked at. Those among them that end compete for the result by their score; the search goes on with the `width` best
    that do not, until `width` sequences of the row have ended, `max_length` tokens are there, or nothing is left to
    go on with. A row's result depends on nothing of its batch mates.

    What ends a sequence, and what its ln p is (y_t: the tokens; p, s_t: what `step` gave for that position):

        end_token     Σ_t ln p(y_t) + ln p(end)            the end token takes one of the `max_length` positions
        stop_head     Σ_t ln p(y_t) + Σ_{t<τ} ln(1 - s_t) + ln s_τ          ends with y_τ; the end token never comes
        length_head   Σ_t ln p(y_t)                        exactly `lengths` tokens; the end token never comes

    Args:
        step: `(tokens int32 [rows], states) -> (log_probs [rows, vocabulary], stop_log_odds [rows] or None, states)`
            with rows = batch · width: reads a token a row, and gives the log-probabilities of the next one and, for
            "stop_head", the log-odds log(s_t / (1 - s_t)) that the next one is the last.
        states: Nested lists of [batch, …]: before the first step. `step` gets and returns them as [rows, …].
        start_token: What the first step reads, an int or int32 [batch].
        end_token: Id of the symbol that ends a sequence.
        pad_token: Id behind the end of a result.
        batch: Number of rows, an int or int32 [] (unknown while tracing).
        vocabulary: Number of token ids.
        width: Hypotheses of a row; 1 is the greedy search.
        max_length: Tokens at most.
        stop: What ends a sequence.
        lengths: int32 [batch] for "length_head", 1 or more (less counts as 1). More than `max_length` are not reached.
        banned: Ids that never come. The others' probabilities stay as they are.
        length_penalty: float or float32 [batch]: 0 compares ln p, for which short sequences are better; 1 its mean.
        active_width: int32 [] or [batch]: the result is that of a search of this width, at the cost of `width`. Below
            1 it counts as 1, above `width` as that. For graphs whose shapes are fixed before the width is known.

    Returns:
        The best sequence that ended for each row, or else the most likely one of `max_length` tokens. If all that a row
        could go on with has p = 0, it is empty and its log_prob is -inf.

    Raises:
        TypeError: `width` is no integer.
        ValueError: A stop rule, width or id that cannot be; `lengths` missing or in vain; no stop log-odds from a step.

    Example:
        >>> log_probs = np.log(np.array([[0.1, 0.6, 0.3]], "float32"))
        >>> decoded = greedy_search(
        ...     lambda tokens, states: (log_probs, None, states), [], start_token=0, end_token=0, pad_token=0, batch=1,
        ...     vocabulary=3, max_length=2,
        ... )
        >>> np.asarray(decoded.tokens).tolist(), np.asarray(decoded.finished).tolist()
        ([[1, 1]], [False])

    Source: Sutskever, Vinyals and Le (2014), "Sequence to sequence learning with neural networks", section 3.2: the
        beam, and sequences that leave it when they end. Cho et al. (2014), "On the properties of neural machine
        translation": scores divided by the length. Wu et al. (2016), "Google's neural machine translation system",
        section 7, divide by ((5 + n) / 6)^α instead. Goodfellow et al. (2016), section 10.2.3: the three rules.
    """
    _check(stop, width, max_length, vocabulary, (end_token, pad_token, *banned), lengths)
    allowed = np.zeros(vocabulary, "float32")  # added to log-probabilities
    allowed[[*banned, end_token]] = _NEVER
    beams = ops.arange(width, dtype="int32")
    first_row = ops.arange(batch, dtype="int32")[:, None] * width  # [batch, 1]
    position = ops.arange(max_length, dtype="int32")

    def of_rows(value: Any, dtype: str) -> Any:
        return ops.broadcast_to(ops.convert_to_tensor(value, dtype), (batch,))

    active = ops.clip(of_rows(width if active_width is None else active_width, "int32"), 1, width)
    penalty = of_rows(length_penalty, "float32")
    exact_lengths = None if lengths is None else ops.maximum(of_rows(lengths, "int32"), 1)

    repeated = [repeat_rows(ops.convert_to_tensor(leaf), width) for leaf in keras.tree.flatten(states)]
    shapes = [ops.shape(leaf) for leaf in repeated]

    def choose(values: Any, parents: Any) -> Any:
        """Rows [batch, n, …] of [batch · width, …] by their beam, [batch, n]."""
        return ops.take(values, first_row + parents, axis=0)

    def extend(t: Any, done: Any, live: _Hypotheses, ended: _Ended) -> Any:
        nested = keras.tree.pack_sequence_as(states, live.states)
        log_probs, log_odds, nested = step(ops.reshape(live.last, (batch * width,)), nested)
        log_probs = ops.reshape(ops.cast(log_probs, "float32"), (batch, width, vocabulary))
        so_far = live.log_prob[:, :, None]  # [batch, width, 1]
        going = so_far + (log_probs + allowed)  # [batch, width, vocabulary]
        if stop == "end_token":
            ending = so_far + log_probs[:, :, end_token : end_token + 1]  # [batch, width, 1]
        elif stop == "stop_head":
            log_odds = ops.reshape(_given(log_odds), (batch, width, 1))
            going, ending = going + ops.log_sigmoid(-log_odds), going + ops.log_sigmoid(log_odds)
        else:
            is_last = (exact_lengths == t + 1)[:, None, None]
            going, ending = ops.where(is_last, _NEVER, going), ops.where(is_last, going, _NEVER)

        # The best of each kind, of which those are looked at that rank below `active` among both kinds together.
        going_log_prob, going_parent, going_token = _best(going, batch, width)  # [batch, width]
        ending_log_prob, ending_parent, ending_token = _best(ending, batch, width)
        going_log_prob = ops.where(beams < active[:, None], going_log_prob, _NEVER)
        better = ops.cast(going_log_prob[:, None, :] >= ending_log_prob[:, :, None], "int32")  # [batch, ending, going]
        rank = beams + ops.sum(better, axis=-1)  # [batch, width]
        entered = (rank < active[:, None]) & (ending_log_prob > _NEVER) & ~done[:, None]

        # All that end at one step are of one length: the most likely is the one of the best score.
        score = ending_log_prob[:, 0] / ops.power(ops.cast(t + 1, "float32"), penalty)
        replaced = entered[:, 0] & (score > ended.score)
        tokens = choose(ops.reshape(live.tokens, (batch * width, max_length)), ending_parent[:, :1])[:, 0]
        if stop != "end_token":
            tokens = ops.where(position == t, ending_token[:, :1], tokens)
        ended = _Ended(
            tokens=ops.where(replaced[:, None], tokens, ended.tokens),
            lengths=ops.where(replaced, t if stop == "end_token" else t + 1, ended.lengths),
            log_prob=ops.where(replaced, ending_log_prob[:, 0], ended.log_prob),
            score=ops.where(replaced, score, ended.score),
            count=ended.count + ops.sum(ops.cast(entered, "int32"), axis=-1),
        )
        done = done | (ended.count >= active) | (going_log_prob[:, 0] == _NEVER)

        tokens = choose(ops.reshape(live.tokens, (batch * width, max_length)), going_parent)
        leaves = keras.tree.flatten(nested)
        if width > 1:
            leaves = [choose(leaf, going_parent) for leaf in leaves]
        live = _Hypotheses(
            tokens=ops.where(position == t, going_token[:, :, None], tokens),
            last=going_token,
            log_prob=going_log_prob,
            states=[ops.reshape(leaf, shape) for leaf, shape in zip(leaves, shapes, strict=True)],
        )
        return t + 1, done, live, ended

    live = _Hypotheses(
        tokens=ops.full((batch, width, max_length), pad_token, dtype="int32"),
        last=ops.broadcast_to(of_rows(start_token, "int32")[:, None], (batch, width)),
        # All beams of a row start equal: one of them counts.
        log_prob=ops.broadcast_to(ops.where(beams == 0, 0.0, _NEVER)[None], (batch, width)),
        states=repeated,
    )
    ended = _Ended(
        tokens=ops.full((batch, max_length), pad_token, dtype="int32"),
        lengths=ops.zeros((batch,), "int32"),
        log_prob=ops.full((batch,), _NEVER, dtype="float32"),
        score=ops.full((batch,), _NEVER, dtype="float32"),
        count=ops.zeros((batch,), "int32"),
    )
    *_, live, ended = ops.while_loop(
        lambda t, done, *_: (t < max_length) & ~ops.all(done),
        extend,
        (ops.convert_to_tensor(0, "int32"), ops.zeros((batch,), "bool"), live, ended),
    )
    finished = ended.count > 0
    cut = ~finished & (live.log_prob[:, 0] > _NEVER)
    return Decoded(
        tokens=ops.where(cut[:, None], live.tokens[:, 0], ended.tokens),
        lengths=ops.where(cut, max_length, ended.lengths),
        log_prob=ops.where(cut, live.log_prob[:, 0], ended.log_prob),
        finished=finished,
    )


def _given(log_odds: Any) -> Any:
    if log_odds is None:
        raise ValueError(
            "beam_search: a step must return stop log-odds when a stop head ends sequences. Received: "
            "stop_log_odds=None. Return them as the second of its results, or pass stop='end_token'."
        )
    return ops.cast(log_odds, "float32")


def _best(log_probs: Any, batch: Any, width: int) -> tuple[Any, Any, Any]:
    """The `width` best of [batch, width, n]: ln p, beam and index in n, each [batch, width], in falling order."""
    size = log_probs.shape[-1]
    best, index = top_k(ops.reshape(log_probs, (batch, width * size)), width)
    return best, index // size, index % size


def _check(stop: str, width: int, max_length: int, vocabulary: int, ids: Sequence[int], lengths: Any) -> None:
    def refuse(what: str, rule: str, received: str, fix: str) -> ValueError:
        return ValueError(f"beam_search: {what} must {rule}. Received: {received}. {fix}.")

    if stop not in get_args(StopRule):
        names = ", ".join(get_args(StopRule))
        raise refuse("stop", f"be one of {names}", f"stop={stop!r}", "Pass stop='end_token', say")
    for name, value in (("width", width), ("max_length", max_length), ("vocabulary", vocabulary)):
        try:
            positive = operator.index(value) > 0
        except TypeError as error:
            raise TypeError(
                f"beam_search: {name} must be an integer known while tracing. Received: {name}={value!r}. "
                "Pass an int; a width that is known later is active_width."
            ) from error
        if not positive:
            raise refuse(name, "be 1 or more", f"{name}={value!r}", f"Pass {name}=1 or more")
    for token in ids:
        if not 0 <= token < vocabulary:
            rule = f"be in 0 … {vocabulary - 1}"
            raise refuse("a token id", rule, f"id={token!r}", "Pass ids of the vocabulary")
    if (lengths is not None) != (stop == "length_head"):
        fix = "Pass both or neither"
        raise refuse("lengths", "come with stop='length_head'", f"stop={stop!r}, lengths={lengths!r}", fix)
