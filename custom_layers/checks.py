"""Argument checks that the layers share, all speaking in the house's error template."""

import operator
from collections.abc import Sequence
from typing import Any


def refusal(owner: str, what: str, rule: str, name: str, value: Any, fix: str) -> str:
    """Return `{owner}: {what} must {rule}. Received: {name}={value!r}. {fix}.`"""
    return f"{owner}: {what} must {rule}. Received: {name}={value!r}. {fix}."


def positive_integer(owner: str, name: str, value: Any) -> int:
    """Return the value as an int.

    Raises:
        TypeError: it is no integer (a bool is none).
        ValueError: it is zero or negative.
    """
    text = refusal(owner, name, "be a positive integer", name, value, f"Pass {name}=1 or more")
    if isinstance(value, bool):
        raise TypeError(text)
    try:
        integer = operator.index(value)
    except TypeError as error:
        raise TypeError(text) from error
    if integer < 1:
        raise ValueError(text)
    return integer


def rate(owner: str, name: str, value: Any) -> float:
    """Return a dropout rate as a float.

    Raises:
        TypeError: it is no number.
        ValueError: it lies outside [0, 1).
    """
    fix = f"Pass the fraction to drop, {name}=0.0 for none"
    text = refusal(owner, name, "be a number in [0, 1)", name, value, fix)
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(text)
    if not 0 <= float(value) < 1:
        raise ValueError(text)
    return float(value)


def shape(
    owner: str, what: str, name: str, value: Sequence[int | None], expected: dict[str, int | None], fix: str
) -> None:
    """Check a shape against named axes; None, on either side, is any size.

    Args:
        expected: axis name → size, in order.

    Raises:
        ValueError: another rank, or another size of an axis.
    """
    sizes = tuple(expected.values())
    same_rank = len(value) == len(sizes)
    if same_rank and all(a is None or b is None or a == b for a, b in zip(value, sizes, strict=True)):
        return
    axes = ", ".join(axis if size is None else f"{axis}={size}" for axis, size in expected.items())
    raise ValueError(refusal(owner, what, f"have the shape [{axes}]", name, tuple(value), fix))


def only(owner: str, name: str, value: Any) -> Any:
    """Return the one element of a list or tuple, or what is neither as it is.

    Raises:
        ValueError: a list of another length.
    """
    if not isinstance(value, (list, tuple)):
        return value
    if len(value) != 1:
        count = len(value)
        raise ValueError(refusal(owner, name, "be one tensor, or a list of one", f"len({name})", count, "Pass one"))
    return value[0]


def only_shape(shapes: Any) -> Any:
    """Return the one shape of a list of shapes, or a shape as it is."""
    return shapes[0] if len(shapes) == 1 and isinstance(shapes[0], (list, tuple)) else shapes
