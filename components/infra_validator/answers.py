"""Whether two answers to a request are the same, by name. Needs NumPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = 1e-4


def differences(found: dict[str, Any], expected: dict[str, Any], signature: str, whose: str) -> list[str]:
    """A sentence for each expected output that is another one, or of another shape.

    Args:
        found, expected: Name → value as JSON has it.
        signature: That answered.
        whose: Who expects it, for the sentence.
    """
    reasons = []
    for name, value in expected.items():
        one, other = np.asarray(found.get(name)), np.asarray(value)
        if one.shape != other.shape:
            what = f"of shape {list(other.shape)}, as {whose} has it; it is of {list(one.shape)}"
        elif other.dtype.kind in "fiu" and one.dtype.kind in "fiu":
            worst = float(np.max(np.abs(one - other) / np.maximum(1, np.abs(other)), initial=0))
            if worst <= TOLERANCE:
                continue
            what = f"the numbers of {whose} within {TOLERANCE:g}; the largest difference is {worst:.3g}"
        elif (one == other).all():
            continue
        else:
            what = f"{value!r}, as {whose} has it; it is {found[name]!r}"
        reasons.append(f"Signature {signature!r}: {name} must be {what}.")
    return reasons
