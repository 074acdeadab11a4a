"""TensorFlow Serving's JSON ↔ arrays: row and column format, and binary strings as {"b64": …}."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from components.server.errors import invalid

Format = Literal["row", "column"]
Arrays = dict[str, np.ndarray]
_FIX = 'Send {"instances": […]} or {"inputs": …}.'


def from_json(body: Any, specs: Mapping[str, Any], optional: frozenset[str]) -> tuple[Arrays, Format]:
    """Reads the inputs of a signature from the body of a `:predict` request.

    Args:
        body: The parsed body, with `instances` (row format) or `inputs` (column format).
        specs: Input → `TensorSpec`.
        optional: Inputs that may be left out: the signature has a default.

    Returns:
        Arrays of the inputs that were sent, and in which format.

    Raises:
        RequestError: What was sent does not fit the signature.
    """
    if ("instances" in body) == ("inputs" in body):
        raise invalid(f"Request body must have either instances or inputs. Received: {sorted(body)}. {_FIX}")
    single = _single(specs, optional)
    if "inputs" in body:
        given = body["inputs"]
        if not isinstance(given, dict) or _is_binary(given):
            given = {_only(single, specs): given}
        return _arrays(given, specs, optional), "column"
    rows = body["instances"]
    if not isinstance(rows, list) or not rows:
        raise invalid("instances must be a list with at least one element.")
    if not all(isinstance(row, dict) and not _is_binary(row) for row in rows):
        if any(isinstance(row, dict) and not _is_binary(row) for row in rows):
            raise invalid("instances must be all objects, or all values.")
        return _arrays({_only(single, specs): rows}, specs, optional), "row"
    names = set(rows[0])
    if any(set(row) != names for row in rows):
        raise invalid(f"Every instance must have the same inputs. The first has {sorted(names)}.")
    return _arrays({name: [row[name] for row in rows] for name in rows[0]}, specs, optional), "row"


def _single(specs: Mapping[str, Any], optional: frozenset[str]) -> str | None:
    required = [name for name in specs if name not in optional]
    return required[0] if len(required) == 1 else None


def _only(single: str | None, specs: Mapping[str, Any]) -> str:
    if single is None:
        raise invalid(f"The signature has several inputs: send an object with {', '.join(sorted(specs))}.")
    return single


def _is_binary(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"}


def _arrays(given: Mapping[str, Any], specs: Mapping[str, Any], optional: frozenset[str]) -> Arrays:
    return {name: array(name, value, specs[name]) for name, value in _known(given, specs, optional).items()}


def _known(given: Mapping[str, Any], specs: Mapping[str, Any], optional: frozenset[str]) -> Mapping[str, Any]:
    unknown, missing = sorted(set(given) - set(specs)), sorted(set(specs) - set(given) - optional)
    if unknown or missing:
        what = f"has no input {unknown[0]!r}" if unknown else f"needs the input {missing[0]!r}"
        raise invalid(f"The signature {what}. Its inputs: {', '.join(sorted(specs))}.")
    return given


def check(inputs: Mapping[str, np.ndarray], specs: Mapping[str, Any], optional: frozenset[str]) -> None:
    """Refuses arrays that are not those of a signature.

    Raises:
        RequestError: An input is unknown, missing, or of another type or shape.
    """
    for name, value in _known(inputs, specs, optional).items():
        spec = specs[name]
        wanted = np.dtype(object) if spec.dtype.name == "string" else np.dtype(spec.dtype.as_numpy_dtype)
        if value.dtype != wanted:
            raise invalid(f"Input {name!r} must be {spec.dtype.name}. Received: {value.dtype}.")
        _check_shape(name, value.shape, spec)


def array(name: str, value: Any, spec: Any) -> np.ndarray:
    """A JSON value as an array of a signature's input.

    Raises:
        RequestError: A value of another type, out of range, or nested lists that are no array.
    """
    dtype = spec.dtype
    shape = _shape(name, value)
    flat: list[Any] = []
    _flatten(value, len(shape), flat)
    if len(flat) != math.prod(shape):
        raise invalid("Nested lists must be as deep and as long as each other.")
    if dtype.name == "string":
        result = np.empty(len(flat), object)
        result[:] = [_bytes(name, item) for item in flat]
    elif dtype.name == "bool":
        if not all(isinstance(item, bool) for item in flat):
            raise invalid(f"Input {name!r} must be true or false.")
        result = np.asarray(flat, bool)
    else:
        result = _numbers(name, flat, np.dtype(dtype.as_numpy_dtype))
    result = result.reshape(shape)
    _check_shape(name, result.shape, spec)
    return result


def _numbers(name: str, flat: list[Any], dtype: np.dtype) -> np.ndarray:
    kinds = int if dtype.kind in "iu" else int | float
    for item in flat:
        if isinstance(item, bool) or not isinstance(item, kinds):
            raise invalid(f"Input {name!r} must be of {dtype}. Received: {_short(item)}.")
    try:
        return np.asarray(flat, dtype)
    except (OverflowError, ValueError) as error:
        raise invalid(f"Input {name!r} must fit {dtype} ({error}).") from error


def _check_shape(name: str, shape: tuple[int, ...], spec: Any) -> None:
    if not spec.shape.is_compatible_with(shape):
        raise invalid(f"Input {name!r} must have the shape {spec.shape.as_list()}. Received: {list(shape)}.")


def _shape(name: str, value: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _flatten(value: Any, depth: int, into: list[Any]) -> None:
    if depth == 0:
        if isinstance(value, list):
            raise invalid("Nested lists must be as deep and as long as each other.")
        into.append(value)
        return
    if not isinstance(value, list):
        raise invalid("Nested lists must be as deep and as long as each other.")
    for item in value:
        _flatten(item, depth - 1, into)


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise invalid(f"Input {name!r} must be Unicode without lone surrogates.") from error
    if _is_binary(value) and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(f"Input {name!r}: b64 must be base64 ({error}).") from error
    raise invalid(f"Input {name!r} must be a string. Received: {_short(value)}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 50 else text[:50] + "…"


def to_json(outputs: Mapping[str, np.ndarray], format: Format) -> dict[str, Any]:
    """The body of the answer to a `:predict` request.

    Raises:
        RequestError: Row format, and outputs that differ in their first dimension.
    """
    values = {name: _plain(name, value) for name, value in outputs.items()}
    if format == "column":
        return {"outputs": next(iter(values.values())) if len(values) == 1 else values}
    sizes = {value.shape[0] if value.ndim else None for value in outputs.values()}
    if len(sizes) != 1 or None in sizes:
        raise invalid("The outputs differ in their first dimension: ask in column format, with inputs.")
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    names = list(values)
    return {"predictions": [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]}


def _plain(name: str, value: np.ndarray) -> Any:
    if value.dtype != object:
        return value.tolist()
    binary = name.endswith("_bytes")
    items = [
        {"b64": base64.b64encode(item).decode()} if binary else item.decode("utf-8", "replace")
        for item in value.ravel().tolist()
    ]
    result = np.empty(len(items), object)
    result[:] = items
    return result.reshape(value.shape).tolist()
