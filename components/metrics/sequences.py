"""How close generated sequences are to the accepted ones: right tokens, exact matches, edit distance, lengths.

A sequence is a list of tokens, or a string, whose tokens are its characters. Every function gives a numerator and a
denominator for each example, and `bootstrap.ratio` of their sums is the figure. Padding is not counted because it is
not passed. Copying the input, as a baseline, needs no function: pass the inputs as what was generated.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence, Sized

import numpy as np
from rapidfuzz.distance import Levenshtein

Tokens = Sequence[Hashable] | np.ndarray


def token_counts(generated: Sequence[Tokens], targets: Sequence[Tokens]) -> np.ndarray:
    """The statistics of the token accuracy: position by position.

    Args:
        generated: Sequence generated for each example.
        targets: The true one of each example.

    Returns:
        Positions of the target that have the same token in what was generated, and positions of the target:
        int64 [examples, 2]. Tokens missing at the end are wrong; surplus ones are not counted, see `error_counts`.

    Raises:
        ValueError: They are not as many.
    """
    _check_as_many("token_counts", "targets", generated, targets)
    right = [_right(made, target) for made, target in zip(generated, targets, strict=True)]
    return _pairs(right, [len(target) for target in targets])


def closest_references(generated: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> list[Tokens]:
    """The accepted sequence that each generated one is held against where a figure needs a single one.

    Args:
        generated: Sequence generated for each example.
        references: All accepted sequences of each example.

    Returns:
        For each example the reference with the smallest edit distance. Of those the shortest, and of those the one with
        the fewest tokens in their places: their order does not count, and the choice is never to the model's advantage.

    Raises:
        TypeError: A reference is text and what was generated is tokens, or the other way round.
        ValueError: They are not as many, or an example has no reference.
    """
    check_references("closest_references", generated, references)
    return [
        min(accepted, key=lambda one: (_edit_distance(made, one), len(one), _right(made, one)))
        for made, accepted in zip(generated, references, strict=True)
    ]


def exact_matches(generated: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """The statistics of the exact-match rate.

    Args:
        generated: Sequence generated for each example.
        references: All accepted sequences of each example.

    Returns:
        1 where what was generated equals one of its references, else 0, and 1: int64 [examples, 2].

    Raises:
        TypeError: A reference is text and what was generated is tokens, or the other way round.
        ValueError: They are not as many, or an example has no reference.
    """
    check_references("exact_matches", generated, references)
    found = [
        any(list(made) == list(reference) for reference in accepted)
        for made, accepted in zip(generated, references, strict=True)
    ]
    return _pairs(found, [1] * len(found))


def error_counts(generated: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """The statistics of the error rate: of phonemes, words or characters, whatever the tokens are.

    The edit distance counts insertions, deletions and substitutions, each as one. The rate is summed over the corpus
    before it is divided, so that a long reference weighs more than a short one; it can exceed 1.

    Args:
        generated: Sequence generated for each example.
        references: All accepted sequences of each example.

    Returns:
        Edit distance to the closest reference, and the length of that reference: int64 [examples, 2]; see
        `closest_references`.

    Raises:
        TypeError: A reference is text and what was generated is tokens, or the other way round.
        ValueError: They are not as many, or an example has no reference.

    Source: Levenshtein (1966), "Binary codes capable of correcting deletions, insertions, and reversals".
    """
    check_references("error_counts", generated, references)
    closest = [
        min((_edit_distance(made, reference), len(reference)) for reference in accepted)
        for made, accepted in zip(generated, references, strict=True)
    ]
    return np.asarray(closest, np.int64).reshape(-1, 2)


def length_counts(generated: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics of how well lengths are met.

    Args:
        generated: Length of what was generated for each example, integers [examples].
        targets: Length that was right, likewise.

    Returns:
        By name of the figure, int64 [examples, 2]: `mean_absolute_length_error`, `mean_signed_length_error` (positive:
        too long) and `exact_length_rate`.

    Raises:
        ValueError: They are not as many.
    """
    _check_as_many("length_counts", "targets", generated, targets)
    error = np.asarray(generated, np.int64) - np.asarray(targets, np.int64)
    one = np.ones_like(error)
    return {
        "mean_absolute_length_error": np.stack([np.abs(error), one], axis=1),
        "mean_signed_length_error": np.stack([error, one], axis=1),
        "exact_length_rate": np.stack([error == 0, one], axis=1).astype(np.int64),
    }


def check_references(owner: str, generated: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> None:
    """Refuses references that are not a list of accepted sequences for each example.

    Raises:
        TypeError: A reference is text and what was generated is tokens, or the other way round; or there is a single
            reference in place of a list.
        ValueError: They are not as many, or an example has no reference.
    """
    _check_as_many(owner, "references", generated, references)
    for made, accepted in zip(generated, references, strict=True):
        if len(accepted) == 0:
            raise ValueError(
                f"{owner}: references must have at least one sequence for each example. Received: none for "
                f"{made!r}. Leave out examples without a reference."
            )
        if isinstance(accepted, str) or any(isinstance(made, str) != isinstance(one, str) for one in accepted):
            raise TypeError(
                f"{owner}: references must be a list for each example, of sequences that are text where the "
                f"generated one is text. Received: {accepted!r} for {made!r}. Put a single reference into a list."
            )


def _check_as_many(owner: str, name: str, generated: Sized, others: Sized) -> None:
    if len(generated) != len(others):
        raise ValueError(
            f"{owner}: generated and {name} must be as many. Received: {len(generated)} and {len(others)}. "
            "Pass both in the order of the examples."
        )


def _edit_distance(a: Tokens, b: Tokens) -> int:
    # rapidfuzz compares hashes, and -1 and -2 have the same one: numbers given out by equality have not.
    numbers: dict[Hashable, int] = {}
    return Levenshtein.distance(*([numbers.setdefault(token, len(numbers)) for token in tokens] for tokens in (a, b)))


def _right(made: Tokens, target: Tokens) -> int:
    """Positions with the same token."""
    return sum(map(operator.eq, made, target))


def _pairs(numerators: Sequence[int], denominators: Sequence[int]) -> np.ndarray:
    return np.stack([np.asarray(numerators, np.int64), np.asarray(denominators, np.int64)], axis=1)
