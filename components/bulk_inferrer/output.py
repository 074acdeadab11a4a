"""Answers as bytes of a file: JSON lines, or TFRecords of tf.train.Example. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from components.heavy_imports import import_quietly
from components.json_values import json_value
from components.transform.records import tfrecord


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row as one JSON object; bytes that are not UTF-8 become U+FFFD, and a float that is not finite null."""
    return (json.dumps(json_value(texts(row)), ensure_ascii=False) + "\n").encode()


def texts(value: Any) -> Any:
    """The same with bytes as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {name: texts(inner) for name, inner in value.items()}
    return [texts(inner) for inner in value] if isinstance(value, list) else value


def example_record(row: Mapping[str, Any]) -> bytes:
    """A row as a framed tf.train.Example: a feature for each value, lists in lists one after the other."""
    train = import_quietly("tensorflow").train
    features = train.Features(feature={name: _feature(train, list(_flat(value))) for name, value in row.items()})
    data = train.Example(features=features).SerializeToString(deterministic=True)
    return tfrecord(np.frombuffer(data, np.uint8), np.dtype(np.uint8))


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    else:
        yield value.encode() if isinstance(value, str) else value


def _feature(train: Any, values: list[Any]) -> Any:
    if not values or isinstance(values[0], bytes):
        return train.Feature(bytes_list=train.BytesList(value=values))
    if isinstance(values[0], float):
        return train.Feature(float_list=train.FloatList(value=values))
    return train.Feature(int64_list=train.Int64List(value=list(map(int, values))))


# Format → what makes a row of it, and how its files end.
FORMATS: dict[str, tuple[Callable[[Mapping[str, Any]], bytes], str]] = {
    "jsonl": (json_line, "jsonl"),
    "tfrecord": (example_record, "tfrecord"),
}
