"""How far two counted distributions are apart, and how far chance alone would put them."""

from __future__ import annotations

import math
from collections.abc import Mapping


def jensen_shannon(left: Mapping[str, int], right: Mapping[str, int]) -> float:
    """Jensen-Shannon divergence of two counted distributions, in bits.

    JSD(p, q) = ½ Σ p log2(p/m) + ½ Σ q log2(q/m), m = ½(p + q)

    Args:
        left: What → how often; at least one.
        right: Likewise.

    Returns:
        0 for equal shares, 1 for nothing in common.
    """
    left_total, right_total = sum(left.values()), sum(right.values())
    total = 0.0
    for what in sorted(left.keys() | right.keys()):  # sums of fractions depend on their order
        p, q = left.get(what, 0) / left_total, right.get(what, 0) / right_total
        middle = (p + q) / 2
        total += sum(share * math.log2(share / middle) for share in (p, q) if share)
    return total / 2


def expected_by_chance(left: Mapping[str, int], right: Mapping[str, int]) -> float:
    """The divergence, in bits, to be expected of two samples of these sizes from one distribution.

    For K different things in n and m draws that is about (K - 1)(1/n + 1/m) / (8 ln 2): much for a few lines of text,
    nothing for a corpus.
    """
    kinds = len(left.keys() | right.keys())
    return (kinds - 1) * (1 / sum(left.values()) + 1 / sum(right.values())) / (8 * math.log(2))
