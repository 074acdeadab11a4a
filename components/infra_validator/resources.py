"""What a model answers, how long it takes and how much memory: measured where it was loaded, with TensorFlow alone."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.infra_validator.answers import differences

_CALLS = 11
_KIB = 1024


def call(signature: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, both as JSON has them."""
    specs = signature.structured_input_signature[1]
    answer = signature(**{name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()})
    return {name: _plain(value.numpy()) for name, value in answer.items()}


def answered(signatures: Any, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """A request with its answer."""
    given = _with_width(signatures[name], inputs)
    return {"signature": name, "inputs": given, "outputs": call(signatures[name], given)}


def wrong_beside(signatures: Any, cases: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence for each answer that is not the Keras model's, see `components.infra_validator.reference`."""
    reasons = []
    for case in cases:
        found = answered(signatures, case["signature"], case["inputs"])["outputs"]
        reasons += differences(found, case["outputs"], case["signature"], "the Keras model")
    return reasons


def _with_width(signature: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """A caller of a loaded signature passes every input: the beam's width, where it has one."""
    return {**inputs, "beam_width": [1]} if "beam_width" in signature.structured_input_signature[1] else dict(inputs)


def latency_ms(signature: Any, inputs: dict[str, Any]) -> float:
    """Milliseconds of a request: the median of a few, after one that is not counted."""
    call(signature, inputs)
    seconds = []
    for _ in range(_CALLS):
        start = time.perf_counter()
        call(signature, inputs)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000


def memory_mb() -> float:
    """The most memory that this process has had, in megabytes: TensorFlow, the model, and what was asked of it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB / 1e6


def strangers() -> list[str]:
    """Modules that a server has not, and that have been imported all the same."""
    own = ("components.infra_validator",)
    return sorted(
        name
        for name, module in sys.modules.items()
        if module is not None
        and (
            name.split(".")[0] in ("keras", "pipeline", "custom_layers")
            or (name.startswith("components.") and not name.startswith(own))
        )
    )


def _plain(value: Any) -> Any:
    if value.dtype == object:
        return np.vectorize(lambda raw: raw.decode("utf-8", "replace"), otypes=[object])(value).tolist()
    return value.tolist()
