"""What is wrong with the answers of a served model: each is a sentence, no answer of a right one has any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Answer = Mapping[str, tuple[str, np.ndarray]]  # output → its dtype and value
Request = Mapping[str, np.ndarray]
Check = Callable[[Request, dict[str, np.ndarray], frozenset[str]], dict[str, bool]]

_TOLERANCE = 1e-5
_TEXT = {"text": "string", "log_prob": "float32", "finished": "bool"}
OUTPUTS = {
    "classify": {"label": "string", "probabilities": "float32", "classes": "string"},
    "tag": {"tags": "string", "probabilities": "float32", "classes": "string"},
    "translate": _TEXT,
    "caption": _TEXT,
    "predict": {"value": "float32"},
    "generate": _TEXT,
    "score": {"log_prob": "float32", "tokens": "int32"},
}


def wrong(task: str, request: Request, answer: Answer, known: frozenset[str]) -> list[str]:
    """Says what is wrong with a batch of answers.

    Args:
        task: Name of the task's signature.
        request: Its inputs, [batch, …].
        answer: Its outputs.
        known: Classes, or what texts are made of: words, or characters if each of them is one character.
    """
    dtypes = {name: dtype for name, (dtype, _) in answer.items()}
    if dtypes != OUTPUTS[task]:
        return [f"outputs must be {OUTPUTS[task]}; they are {dtypes}"]
    values = {name: value for name, (_, value) in answer.items()}
    rules = {
        f"{name} must be finite": bool(np.isfinite(value).all())
        for name, value in values.items()
        if value.dtype.kind == "f"
    }
    return [rule for rule, holds in (rules | CHECKS[task](request, values, known)).items() if not holds]


def _batch(request: Request) -> int:
    return len(next(iter(request.values())))


def _classes(request: Request, answer: dict[str, np.ndarray], known: frozenset[str]) -> dict[str, bool]:
    label, probabilities, classes = answer["label"], answer["probabilities"], answer["classes"]
    shapes = (label.shape, probabilities.shape) == ((_batch(request),), (_batch(request), len(known)))
    return {
        "classes must be those of train, in order": classes.tolist() == [sorted(known)] * _batch(request),
        "shapes must be [batch] and [batch, classes]": shapes,
        "label must be the most probable class": shapes and _most_probable(known, probabilities, label),
        "probabilities must sum to 1": _sum_to_one(probabilities),
    }


def _tags(request: Request, answer: dict[str, np.ndarray], known: frozenset[str]) -> dict[str, bool]:
    tags, probabilities, classes = answer["tags"], answer["probabilities"], answer["classes"]
    # A text has a tag for each word.
    lengths = request["lengths"] if "lengths" in request else [len(text.split()) for text in request["text"]]
    there = np.arange(tags.shape[-1]) < np.asarray(lengths)[:, None]
    shape = (_batch(request), max(*lengths, 1))
    shapes = (tags.shape, probabilities.shape) == (shape, (*shape, len(known)))
    return {
        "classes must be those of train, in order": classes.tolist() == [sorted(known)] * _batch(request),
        "shapes must be [batch, longest] and [batch, longest, classes]": shapes,
        "tags must be the most probable classes": shapes and _most_probable(known, probabilities[there], tags[there]),
        "tags behind a row's end must be empty": shapes and set(tags[~there]) <= {""},
        "probabilities must sum to 1": _sum_to_one(probabilities),
    }


def _most_probable(known: frozenset[str], probabilities: np.ndarray, chosen: np.ndarray) -> bool:
    return bool(np.all(np.array(sorted(known))[probabilities.argmax(axis=-1)] == chosen))


def _sum_to_one(probabilities: np.ndarray) -> bool:
    return bool(np.all(probabilities >= 0)) and np.allclose(probabilities.sum(axis=-1), 1, atol=_TOLERANCE)


def _written(request: Request, answer: dict[str, np.ndarray], known: frozenset[str]) -> dict[str, bool]:
    pieces = [piece for text in answer["text"].tolist() for piece in _pieces(text, known)]
    return _of_texts(request, answer) | {"texts must be made of what train has": set(pieces) <= known}


def _pieces(text: str, known: frozenset[str]) -> list[str]:
    """Words, none of which is empty but in an empty text; or characters."""
    is_words = any(len(piece) > 1 for piece in known)
    return (text.split(" ") if text else []) if is_words else list(text)


def _of_texts(request: Request, answer: dict[str, np.ndarray]) -> dict[str, bool]:
    return {
        "shapes must be [batch]": {value.shape for value in answer.values()} == {(_batch(request),)},
        "log_prob must be at most 0": bool(np.all(answer["log_prob"] <= 0)),
    }


def _continued(request: Request, answer: dict[str, np.ndarray], known: frozenset[str]) -> dict[str, bool]:
    prompts, texts = request["prompt"].tolist(), answer["text"].tolist()
    more = [text.removeprefix(prompt) for prompt, text in zip(prompts, texts, strict=True)]
    lengths = np.array([len(text) for text in more])
    return _of_texts(request, answer) | {
        "texts must begin with their prompts": all(map(str.startswith, texts, prompts)),
        "texts must be made of what train has": set("".join(more)) <= known,
        "texts must have max_length characters, or have ended": bool(
            np.all(np.where(answer["finished"], lengths < request["max_length"], lengths == request["max_length"]))
        ),
    }


def _scored(request: Request, answer: dict[str, np.ndarray], known: frozenset[str]) -> dict[str, bool]:
    counts = [len(text) + 1 for text in request["text"]]
    return _of_texts(request, answer) | {"tokens must be characters and the end": answer["tokens"].tolist() == counts}


def _predicted(request: Request, answer: dict[str, np.ndarray], known: frozenset[str]) -> dict[str, bool]:
    shapes = ((_batch(request),), request["array"].shape)
    return {"shape must be [batch], or, of a forecast, the array's": answer["value"].shape in shapes}


CHECKS: Mapping[str, Check] = {
    "classify": _classes,
    "tag": _tags,
    "translate": _written,
    "caption": _written,
    "predict": _predicted,
    "generate": _continued,
    "score": _scored,
}


def alone(request: Request, row: int) -> Request:
    """A batch of one row of a request, cut to its own length."""
    rows: dict[str, Any] = {name: values[row : row + 1] for name, values in request.items()}
    if "lengths" in rows:
        rows["array"] = rows["array"][:, : rows["lengths"][0]]
    return rows


def differs(batch: Answer, row: int, single: Answer) -> list[str]:
    """Outputs of a row of a batch that are not what they are when it is asked alone."""
    found = []
    for name, (_, value) in single.items():
        expected, own = value[0], batch[name][1][row]
        if np.ndim(expected):  # the batch may be longer
            own = own[: len(expected)]
        if not same(own, expected):
            found.append(name)
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same, numbers but for rounding."""
    one, other = np.asarray(one), np.asarray(other)
    if one.shape != other.shape:
        return False
    return bool(np.allclose(one, other, atol=_TOLERANCE)) if one.dtype.kind == "f" else bool(np.all(one == other))
