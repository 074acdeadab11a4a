"""Choosing the next token: temperature, top-k, top-p, and random numbers that belong to a row and a position.

Written in keras.ops, so that the exported graph and the trainer's samples share one implementation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

from custom_layers.random_bits import threefry_2x32


def random_uniform(key_high: Any, key_low: Any, position: Any) -> Any:
    """A number in [0, 1) for each row, decided by the row's key and position alone.

    A counter-based generator (Threefry-2x32, 20 rounds): no state, so a row's numbers depend neither on its batch mates
    nor on how a text is cut into calls.

    Args:
        key_high, key_low: uint32 [batch]: the two halves of the row's seed.
        position: uint32 [batch]: index of the token in its text; or several indices a row, [batch, n], with
            keys [batch, 1].

    Returns:
        float32 [batch], or [batch, n].

    Source: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
    """
    bits, _ = threefry_2x32(key_high, key_low, position, ops.zeros_like(position))
    return _high_bits(bits) * 2.0**-24


def _high_bits(bits: Any) -> Any:
    """The 24 high bits, as many as a float32 in [0, 1) holds exactly, as a float32 in [0, 2^24)."""
    return ops.cast(ops.right_shift(bits, ops.cast(8, "uint32")), "float32")


def random_normal(shape: Sequence[int], seed: int, step: Any, stream: int) -> Any:
    """Standard normal numbers, decided by seed, step, stream and place alone; the same on every backend up to rounding.

    Two uniform numbers u, v of one place make sqrt(-2 ln u) cos(2π v).

    Args:
        shape: Of the result.
        seed: 0 … 2^32 - 1.
        step: uint32 [], may be traced.
        stream: 0 … 2^32 - 1, for several arrays of one step.

    Returns:
        float32 of that shape.

    Source: Box and Muller (1958); Salmon et al. (2011).
    """
    # TensorFlow under XLA has no range of uint32.
    place = ops.reshape(ops.cast(ops.arange(math.prod(shape), dtype="int32"), "uint32"), tuple(shape))
    key = ops.full(shape, seed, dtype="uint32"), ops.full(shape, stream, dtype="uint32")
    high, low = threefry_2x32(*key, place, ops.zeros_like(place) + step)
    # The middles of 2^24 equal parts of [0, 1]: the logarithm of 0 cannot come up.
    u, v = ((_high_bits(bits) + 0.5) * 2.0**-24 for bits in (high, low))
    return ops.sqrt(-2.0 * ops.log(u)) * ops.cos(2.0 * math.pi * v)


def sample(logits: Any, uniform: Any, temperature: Any, top_k: Any, top_p: Any) -> Any:
    """Draws a token for each row.

    p = softmax(logits / temperature), of which the `top_k` most likely tokens stay, of which (renormalised) the fewest
    most likely ones stay that reach a probability of `top_p` together; the token is where the cumulative distribution
    of those passes `uniform`, in order of id where all tokens stay, else in falling order of p.

    Args:
        logits: float32 [batch, vocabulary]; -inf for a token that must not come.
        uniform: float32 [batch] in [0, 1).
        temperature: float32 [batch]; 0 takes the most likely token.
        top_k: int32 [batch]; 0 keeps all.
        top_p: float32 [batch] in (0, 1]; 1 keeps all.

    Returns:
        int32 [batch].
    """
    greedy = temperature <= 0
    # The maximum is taken off first: a small temperature then gives -inf, not inf - inf.
    scaled = logits - ops.max(logits, axis=-1, keepdims=True)
    p = ops.exp(scaled / ops.where(greedy, 1.0, temperature)[:, None])  # of any sum
    # What is most likely is at 0 now; the first of those is where 0 is passed.
    p = ops.where(greedy[:, None], ops.cast(scaled >= 0, p.dtype), p)
    uniform = ops.where(greedy, 0.0, uniform)
    truncated = ~greedy & ((top_k > 0) | (top_p < 1.0))

    def of_all() -> Any:
        return _pass(p, uniform)

    def of_the_likeliest() -> Any:
        return ops.where(truncated, _sample_likeliest(p, uniform, top_k, top_p), of_all())

    # Sorting costs more than all the rest: only where some row asks for it. The other rows' tokens stay the same.
    return ops.cond(ops.any(truncated), of_the_likeliest, of_all)


def _sample_likeliest(p: Any, uniform: Any, top_k: Any, top_p: Any) -> Any:
    """The token of each row among those that `top_k` and `top_p` leave of p [batch, vocabulary]: int32 [batch]."""
    vocabulary = p.shape[-1]
    order = ops.argsort(-p, axis=-1)  # most likely first
    p = ops.take_along_axis(p, order, axis=-1)
    rank = ops.arange(vocabulary, dtype="int32")[None, :]
    p = ops.where(rank < ops.where(top_k > 0, top_k, vocabulary)[:, None], p, 0.0)
    p = p / ops.sum(p, axis=-1, keepdims=True)
    before = ops.cumsum(p, axis=-1) - p
    p = ops.where((before < top_p[:, None]) | (top_p[:, None] >= 1.0) | (rank == 0), p, 0.0)
    return ops.cast(ops.take_along_axis(order, _pass(p, uniform)[:, None], axis=-1)[:, 0], "int32")


def _pass(p: Any, uniform: Any) -> Any:
    """Where the cumulative distribution of each row of p [batch, n], of any sum, passes `uniform`: int32 [batch]."""
    n = p.shape[-1]
    cumulative = ops.cumsum(p, axis=-1)
    index = ops.sum(ops.cast(cumulative <= uniform[:, None] * cumulative[:, -1:], "int32"), axis=-1)
    # Rounding can put `uniform` past the last token that is left.
    last = ops.max(ops.where(p > 0, ops.arange(n, dtype="int32")[None, :], 0), axis=-1)
    return ops.minimum(index, last)
