"""TensorFlow Serving's JSON ↔ arrays: row and column format, and binary strings as {"b64": …}."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from components.server.errors import invalid

Format = Literal["row", "column"]
Arrays = dict[str, np.ndarray]
_DIMENSIONS = 32  # NumPy has 64
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
        both = "both" if "inputs" in body else "neither"
        raise invalid(f"Request body must have either instances or inputs. Received: {both}. {_FIX}")
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
    check_names(given, specs, optional)
    return {name: array(name, value, specs[name]) for name, value in given.items()}


def check_names(given: Collection[str], specs: Mapping[str, Any], optional: frozenset[str]) -> None:
    """Refuses inputs that a signature has not, and asks for those that it needs.

    Raises:
        RequestError: An input is unknown or missing.
    """
    unknown, missing = sorted(set(given) - set(specs)), sorted(set(specs) - set(given) - optional)
    if unknown or missing:
        what = f"has no input {_short(unknown[0])}" if unknown else f"needs the input {missing[0]!r}"
        raise invalid(f"The signature {what}. Its inputs: {', '.join(sorted(specs))}.")


def from_proto(name: str, value: Any, spec: Any, most: int) -> np.ndarray:
    """A TensorProto as an array of a signature's input.

    Args:
        most: Values that it may have: few bytes can say that one value is there a billion times.

    Raises:
        RequestError: Another type or shape, or values that do not fill the shape.
    """
    if value.dtype != spec.dtype.as_datatype_enum:
        raise invalid(f"Input {name!r} must be {spec.dtype.name}. Received: DataType {value.dtype}.")
    shape = [dimension.size for dimension in value.tensor_shape.dim]
    if value.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"Input {name!r} must have a shape that is known.")
    _check_shape(name, tuple(shape), spec)
    if math.prod(shape) > most:
        raise invalid(f"Input {name!r} must have at most {most} values. Received: {shape}.")
    import tensorflow as tf

    try:
        # It fills up with the last value. Of no string it makes the wrong type.
        if spec.dtype == tf.string and not value.string_val and math.prod(shape):
            raise ValueError("no strings")
        return tf.make_ndarray(value)
    except (TypeError, ValueError) as error:
        raise invalid(f"Input {name!r} must have as many values as its shape, {shape}.") from error


def array(name: str, value: Any, spec: Any) -> np.ndarray:
    """A JSON value as an array of a signature's input.

    Raises:
        RequestError: A value of another type, out of range, or nested lists that are no array.
    """
    dtype = spec.dtype
    shape = _shape(value)
    _check_shape(name, shape, spec)
    flat: list[Any] = []
    _flatten(value, shape, flat)
    if dtype.name == "string":
        result = np.empty(len(flat), object)
        result[:] = [_bytes(name, item) for item in flat]
    elif dtype.name == "bool":
        if not all(isinstance(item, bool) for item in flat):
            raise invalid(f"Input {name!r} must be true or false.")
        result = np.asarray(flat, bool)
    else:
        result = _numbers(name, flat, np.dtype(dtype.as_numpy_dtype))
    return result.reshape(shape)


def _numbers(name: str, flat: list[Any], dtype: np.dtype) -> np.ndarray:
    kinds = int if dtype.kind in "iu" else int | float
    for item in flat:
        if isinstance(item, bool) or not isinstance(item, kinds):
            raise invalid(f"Input {name!r} must be of {dtype}. Received: {_short(item)}.")
    try:
        with np.errstate(over="raise"):
            return np.asarray(flat, dtype)
    except (OverflowError, FloatingPointError) as error:
        raise invalid(f"Input {name!r} must fit {dtype}.") from error


def _check_shape(name: str, shape: tuple[int, ...], spec: Any) -> None:
    if len(shape) > _DIMENSIONS or not spec.shape.is_compatible_with(shape):
        received = list(shape) if len(shape) <= _DIMENSIONS else f"{len(shape)} dimensions"
        raise invalid(f"Input {name!r} must have the shape {spec.shape}. Received: {received}.")


def _shape(value: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _flatten(value: Any, shape: tuple[int, ...], into: list[Any]) -> None:
    if isinstance(value, list) != bool(shape) or (shape and len(value) != shape[0]):
        raise invalid("Nested lists must be as deep and as long as each other.")
    if not shape:
        into.append(value)
        return
    for item in value:
        _flatten(item, shape[1:], into)


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
