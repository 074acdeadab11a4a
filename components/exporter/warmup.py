"""Requests that TensorFlow Serving sends to a model before its first client does: `assets.extra/` of a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from components.exporter.signatures import signature_defs

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"
# Of a dimension that a signature leaves open, but for the rows: timesteps, most of all.
_LENGTH = 8
# Every value of an input; 0 of one that is not here.
_VALUES: Mapping[str, Any] = {
    "prompt": "A text begins",
    "text": "A text of a few words",
    "token": "<end>",
    "max_length": _LENGTH,
    "left": _LENGTH,
    "lengths": _LENGTH,
    "temperature": 1,
    "top_p": 1,
    "samples": 2,
    "batch_size": 1,
    "beam_width": 2,
    "recent": -1,
}


def write_warmup(saved_model: Path, model_name: str, label: str | None = None) -> None:
    """Adds the file of requests to a SavedModel.

    Args:
        saved_model: Its folder.
        model_name: What the model is served as.
        label: A class that it knows, if it reads one.
    """
    file = saved_model / FOLDER / FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name, definition in signature_defs(saved_model).items():
            for inputs in _requests(definition, label):
                writer.write(_prediction_log(model_name, name, inputs).SerializeToString())


def _requests(definition: Any, label: str | None) -> list[dict[str, np.ndarray]]:
    """One row for every input; and, where some have defaults, without those."""
    every = {name: _value(name, info, label) for name, info in sorted(definition.inputs.items())}
    required = {name: value for name, value in every.items() if name not in definition.defaults}
    return [every] if len(required) == len(every) else [required, every]


def _value(name: str, info: Any, label: str | None) -> np.ndarray:
    shape = [dimension.size for dimension in info.tensor_shape.dim]
    shape = [(_LENGTH if axis else 1) if size < 0 else size for axis, size in enumerate(shape)]
    dtype = tf.dtypes.as_dtype(info.dtype)
    if dtype != tf.string:
        value = _VALUES.get(name, 0)
        # `write` calls the id of a token what `step` calls its name.
        return np.full(shape, value if isinstance(value, int) else 0, dtype.as_numpy_dtype)
    return np.full(shape, label if name == "label" else _VALUES[name], object)


def _prediction_log(model_name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> Any:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        dtype = tf.string if value.dtype == object else value.dtype
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
