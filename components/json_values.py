"""Figures as what JSON has: plain numbers and lists, and null for what is not finite."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def json_value(value: Any, digits: int | None = None) -> Any:
    """Turns nested mappings, sequences, arrays and dataclasses of numbers into plain ones.

    Args:
        value: What is to be written; what has no numbers stays as it is.
        digits: Significant digits that floats are rounded to; None for all.

    Returns:
        The same, with None for floats that are not finite.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): json_value(inner, digits) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner, digits) for inner in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    return value
