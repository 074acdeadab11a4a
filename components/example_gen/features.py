"""Values of a record to features: labels, tags, targets, numbers and arrays, checked. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from components.documents import Feature
from components.example_gen.parsed import RecordError
from components.features import KINDS
from pipeline.config import FieldsConfig

# Numbers that come as text are read as this.
ARRAY_DTYPE = "float32"
REFERENCES = "references"
# Axes: a series has two, frames four. Shapes of fewer are filled up with NO_AXIS.
LONGEST_SHAPE, NO_AXIS = 4, -1
_LINE_ENDS = re.compile(r"[\r\n]")
_OTHER_BLANKS = re.compile(r"[\t-\r]")


def features_of(fields: FieldsConfig, array_dtype: str = ARRAY_DTYPE) -> dict[str, Feature]:
    """Feature → what it is, of records with those fields; the shape of arrays is known once all are read."""
    return {name: Feature(KINDS[name], array_dtype if name == "array" else None) for name in fields.features}


def to_class(value: Any) -> str:
    """The name of a class: text of one line, an integer, or a truth."""
    if isinstance(value, bool):
        return "true" if value else "false"
    name = str(value) if isinstance(value, str | int) else ""
    if not name or _LINE_ENDS.search(name):
        raise RecordError("a class must be an integer, or text of one line", shown(value), _CORRECT)
    return name


def to_classes(value: Any) -> list[str]:
    """The names of classes: a list of them, or text with single blanks between them."""
    if isinstance(value, str):
        value = value.split(" ")
    if not isinstance(value, list) or not value:
        raise RecordError("tags must be a list of classes, or text with blanks between them", shown(value), _CORRECT)
    return [to_class(item) for item in value]


def to_target(value: Any) -> str:
    """An output text: of at least a token, or there is nothing to learn, and no rule could end it."""
    if not isinstance(value, str):
        raise RecordError("a target must be text", f"{shown(value)} of type {type(value).__name__}", _CORRECT)
    if not value.strip():
        raise RecordError("a target must not be empty or blank", shown(value), _CORRECT)
    return value


def to_number(value: Any) -> float:
    """A number; tables hold it as text."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise RecordError("a value must be a finite number", shown(value), _CORRECT)
    return number


def to_array(value: Any) -> np.ndarray:
    """Numbers, of two to four axes.

    Args:
        value: Lists in lists, the same as JSON, or an array; a list of numbers is a series of one feature.

    Returns:
        float32; what was an array keeps its dtype, but truths become 0 and 1 of uint8.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _no_array(value) from None
    try:
        array = np.asarray(value)
    except ValueError:
        raise RecordError("the lists of an array must have one length on each axis", shown(value), _CORRECT) from None
    if not isinstance(value, np.ndarray):
        if array.dtype.kind not in "iuf":
            raise _no_array(value)
        with np.errstate(over="ignore"):  # what is too large is infinite then, and refused
            array = array.astype(ARRAY_DTYPE)
    elif array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf" or not array.size:
        raise _no_array(value)
    if array.ndim == 1:
        array = array[:, None]
    if not 2 <= array.ndim <= LONGEST_SHAPE:
        raise RecordError("an array must have two to four axes", f"{array.ndim}", _CORRECT)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RecordError("the numbers of an array must be finite", shown(value), _CORRECT)
    return array


def _no_array(value: Any) -> RecordError:
    return RecordError("an array must be lists of numbers", shown(value), _CORRECT)


def check_tags(tags: Sequence[str], text: str | None, array: np.ndarray | None) -> None:
    """Refuses tags that are not one for each word, or, without text, for each row of the array."""
    if text is not None:
        words = text.split(" ")
        if "" in words or _OTHER_BLANKS.search(text):
            raise RecordError("the words of a text with tags must be parted by single blanks", shown(text), _CORRECT)
        if len(words) != len(tags):
            raise RecordError("each word must have a tag", f"{len(words)} words and {len(tags)} tags", _CORRECT)
    elif array is not None and len(array) != len(tags):
        raise RecordError("each row must have a tag", f"{len(array)} rows and {len(tags)} tags", _CORRECT)


def check_text(text: str) -> None:
    """Refuses a text that says nothing of the class or target beside it."""
    if not text.strip():
        raise RecordError("a text with a label, tags or a target must not be empty or blank", shown(text), _CORRECT)


def check_references(references: Any, target: str) -> None:
    """Refuses right answers that are no list of texts with the target among them."""
    texts = isinstance(references, list) and all(isinstance(reference, str) for reference in references)
    if not texts or target not in references:
        raise RecordError(
            f"the field {REFERENCES!r} must be a list of texts, the target among them",
            shown(references),
            "Correct it, or rename the field if it is something else",
        )


# Features whose values lie in documents.jsonl.
IN_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "label": to_class,
    "tags": to_classes,
    "target": to_target,
    "value": to_number,
}

_CORRECT = "Correct the record, or name another field in example_gen.fields"


def shown(value: Any) -> str:
    """A value as messages show it: its beginning, if it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
