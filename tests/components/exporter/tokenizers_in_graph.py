"""Runs what the exporter puts into a graph: traced once for any batch, or saved and loaded elsewhere."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

STRINGS = tf.TensorSpec([None], tf.string, "text")


def traced(function: Callable[[Any], Any], spec: Any = STRINGS) -> Callable[[Any], Any]:
    """A graph of the function for every batch and length."""
    return tf.function(function, input_signature=[spec])


def strings(texts: Sequence[str | bytes]) -> Any:
    return tf.constant(list(texts), tf.string, shape=[len(texts)])


class Saved:
    """A function of strings [batch] to a ragged tensor, in a SavedModel that another process uses.

    Args:
        function: The function.
        folder: Where to save it.
        client: The fixture `client`.
        tracked: What the function needs of variables, tables and other modules.
    """

    def __init__(self, function: Callable[[Any], Any], folder: Path, client: Any, tracked: Any = None) -> None:
        module = tf.Module()
        module.tracked = tracked

        def flat(text: Any) -> dict[str, Any]:
            rows = function(text)
            return {"values": rows.flat_values, "lengths": rows.row_lengths()}

        tf.saved_model.save(module, str(folder), signatures={"rows": traced(flat)})
        self._folder, self._client = str(folder), client

    def __call__(self, texts: Sequence[str | bytes]) -> list[list[Any]]:
        """The rows, as lists."""
        outputs = self._client.ask("call", self._folder, "rows", {"text": list(texts)})
        values, rows = outputs["values"].tolist(), []
        for length in outputs["lengths"].tolist():
            rows.append(values[:length])
            values = values[length:]
        return rows

    def imports(self) -> set[str]:
        """Top-level names of the modules that the other process has imported."""
        return self._client.ask("modules")
