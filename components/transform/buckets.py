"""Which examples make batches together: those of about one length, with the least padding that so many shapes allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Borders are looked for among as many quantiles of the lengths.
_CANDIDATES = 512


def least_padding(lengths: np.ndarray, count: int) -> list[int]:
    """Returns at most `count` lengths that examples are padded to, for the least timesteps in all.

        minimise Σ_examples min {border: border >= length}

    by dynamic programming over the lengths in rising order. The last border is the longest length.

    Args:
        lengths: int [examples], at least one.
        count: Shapes at most.
    """
    ordered, some = np.sort(lengths), min(_CANDIDATES, len(lengths))
    candidates = np.unique(ordered[np.arange(some) * (len(ordered) - 1) // max(some - 1, 1)])
    members = np.concatenate([[0], np.searchsorted(ordered, candidates, side="right")])
    # least[j]: timesteps of all examples up to candidate j - 1, with the borders so far.
    least = np.concatenate([[0], members[1:] * candidates])
    came_from = [np.zeros(len(least), np.int64)]
    for _ in range(min(count, len(candidates)) - 1):
        # [j, i]: the last border is candidate j - 1, the one before it i - 1.
        last = (members[1:, None] - members[None, :-1]) * candidates[:, None]
        total = np.where(np.tri(len(candidates), dtype=bool), least[None, :-1] + last, np.iinfo(np.int64).max)
        came_from.append(np.concatenate([[0], total.argmin(axis=1)]))
        least = np.concatenate([[0], total.min(axis=1)])
    borders, place = [], len(candidates)
    for previous in reversed(came_from):
        if place > 0:
            borders.append(int(candidates[place - 1]))
            place = int(previous[place])
    return borders[::-1]


def divide(lengths: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Divides examples into at most `count` buckets.

    Args:
        lengths: int [examples] of one feature or more, the one that costs most first.
        count: Buckets at most. Of two features the first is divided into half as many, and each of those by the second.

    Returns:
        The members of each bucket, int64 [members], in order.
    """
    first, *others = lengths
    borders = least_padding(first, -(-count // 2) if others else count)
    bucket_of = np.searchsorted(borders, first)
    buckets = [np.flatnonzero(bucket_of == bucket) for bucket in range(len(borders))]
    if not others:
        return buckets
    inner = max(count // len(buckets), 1)
    return [members[part] for members in buckets for part in divide([each[members] for each in others], inner)]
