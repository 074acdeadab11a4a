"""Uses the SavedModel of a task of examples as a client would: requests made up from its own signature.

Imports TensorFlow and nothing of this project, as a server would.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

_TEXTS = ["a word or two", "", "\U0010ffff ~ 1", "a"]
_LENGTH = 5  # of what the signature leaves open
_TOLERANCE = 1e-5
_TEXT = {"text": "string", "log_prob": "float32", "finished": "bool"}
# Name of a task's signature → its outputs.
OF_EXAMPLES = {
    "classify": {"label": "string", "probabilities": "float32", "classes": "string"},
    "tag": {"tags": "string", "probabilities": "float32", "classes": "string"},
    "translate": _TEXT,
    "caption": _TEXT,
    "predict": {"value": "float32"},
}


def requests(signature: Any, classes: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Four rows for each input of a signature: different texts, numbers and lengths; some of `classes` as a label."""
    random = np.random.default_rng(0)
    made: dict[str, np.ndarray] = {}
    for name, spec in signature.structured_input_signature[1].items():
        shape = [len(_TEXTS), *(_LENGTH if size is None else size for size in spec.shape.as_list()[1:])]
        if name == "label":
            made[name] = np.resize(np.asarray(classes, object), len(_TEXTS))
        elif spec.dtype == tf.string:
            made[name] = np.asarray(_TEXTS, object)
        elif name == "lengths":
            made[name] = np.asarray([_LENGTH, 1, _LENGTH - 1, 2], np.int32)
        elif name == "beam_width":
            made[name] = np.asarray([1, 2, 8, 1], np.int32)
        elif spec.dtype.is_integer:
            made[name] = random.integers(0, 100, shape).astype(spec.dtype.as_numpy_dtype)
        else:
            made[name] = random.normal(size=shape).astype(spec.dtype.as_numpy_dtype)
    return made


def call(signature: Any, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Answers as arrays."""
    return {name: value.numpy() for name, value in signature(**{k: tf.constant(v) for k, v in rows.items()}).items()}


def wrong_answers(signatures: Any, task: str, classes: Sequence[str] = ()) -> tuple[list[str], str]:
    """A sentence for each thing about a task's answers that is not as it should be; and the answers as text.

    They are to have as many rows as the request, to be finite, the same when asked again, and a row's the same without
    its batch mates; a class that the model does not know is to have none.

    Args:
        signatures: Of the SavedModel.
        task: The one to try; `serving_default` is to be there, too.
        classes: Those that it reads, if it does.
    """
    if "serving_default" not in signatures:
        return ["Signature 'serving_default' is missing."], ""
    signature = signatures[task]
    found = {name: spec.dtype.name for name, spec in signature.structured_outputs.items()}
    if found != OF_EXAMPLES[task]:
        return [f"Signature {task!r}: outputs must be {OF_EXAMPLES[task]}; they are {found}."], ""
    rows = requests(signature, classes)
    answers, again = call(signature, rows), call(signature, rows)
    reasons = [
        f"{name} must have a row for each of the {len(_TEXTS)} of a request; its shape is {list(value.shape)}."
        for name, value in answers.items()
        if value.shape[:1] != (len(_TEXTS),)
    ]
    if reasons:
        return reasons, ""
    if "label" in rows and not _is_refused(signature, {**rows, "label": np.asarray(["\U0010ffff"], object)}):
        reasons.append("label must be a known class; another one is answered.")
    for name, value in answers.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            reasons.append(f"{name} must be finite; it is not for rows {_rows(~np.isfinite(value))}.")
        if not _same(value, again[name]):
            reasons.append(f"{name} must be the same for the same request; two calls differ.")
    if "beam_width" in rows:  # greedy alone is another branch of the graph
        greedy = call(signature, {**rows, "beam_width": np.ones(len(_TEXTS), np.int32)})
        if not _same(greedy["text"][[0, 3]], answers["text"][[0, 3]]):
            reasons.append("text of beam width 1 must not depend on the width of other rows; it differs.")
    for row in range(len(_TEXTS)):
        alone = call(signature, {name: value[row : row + 1] for name, value in rows.items()})
        for name, value in answers.items():
            if not _same(_begin(value[row], alone[name][0]), alone[name][0]):
                reasons.append(f"{name} of row {row} must not depend on the rows beside it; alone it differs.")
    shown = "\n".join(f"{name}: {value.tolist()}" for name, value in answers.items() if value.dtype.kind == "O")
    return reasons, shown


def _is_refused(signature: Any, rows: dict[str, np.ndarray]) -> bool:
    try:
        call(signature, {name: value[:1] for name, value in rows.items()})
    except tf.errors.InvalidArgumentError:
        return True
    return False


def _begin(value: Any, alone: Any) -> Any:
    """As many timesteps of a row as it has alone: others of the batch may be longer."""
    return value[: len(alone)] if np.ndim(alone) else value


def _same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return False
    return np.allclose(one, other, atol=_TOLERANCE) if one.dtype.kind == "f" else bool((one == other).all())


def _rows(bad: np.ndarray) -> list[int]:
    return sorted({int(row) for row in np.argwhere(bad)[:, 0]})
