"""A served language model, loaded to write many texts at once: its tokenizer, and `read` and `write` on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.served.folder import Signature, language_signatures, outdated, version_folder
from components.transform import tokenizers

Arrays = dict[str, np.ndarray]


class ServedLanguageModel:
    """The signatures `read` and `write`, compiled by XLA for each shape they are called with.

    The SavedModel itself has stock operations only, which other servers run, too.

    Args:
        folder: Of the SavedModel.
        compiled: Whether to compile. It takes about a second for each shape and makes a step two to three times as
            fast: in vain for a few short texts.
        signatures: Of the SavedModel, where it is loaded already; None loads it.

    Attributes:
        tokenizer: Text to ids and back.
        state: Zero states of one row, state_0 … float32 [units].
        longest_period: Width of `recent` and `repeats`.
    """

    def __init__(self, folder: Path, compiled: bool = True, signatures: Mapping[str, Signature] | None = None) -> None:
        if signatures is None:
            signatures = language_signatures(folder, "initial_state", "read", "write")
        if "count" not in signatures["read"].inputs:
            raise outdated(folder, "the input 'count' of the signature 'read'")
        import tensorflow as tf  # after the check of the folder: it takes seconds

        self.tokenizer = tokenizers.load(version_folder(folder) / "assets")
        zeros = signatures["initial_state"](batch_size=tf.constant(1))
        self.state: Arrays = {name: np.asarray(state)[0] for name, state in zeros.items()}
        self.longest_period = int(signatures["write"].inputs["recent"].shape[1])
        self._signatures = signatures
        self._functions: dict[str, Any] = {
            name: _compile(signatures[name]) if compiled else signatures[name] for name in ("read", "write")
        }

    def read(self, **inputs: Any) -> Arrays:
        """The signature `read`."""
        return self._call("read", inputs)

    def write(self, **inputs: Any) -> Arrays:
        """The signature `write`."""
        return self._call("write", inputs)

    def _call(self, name: str, inputs: Mapping[str, Any]) -> Arrays:
        import tensorflow as tf

        specs = self._signatures[name].inputs
        tensors = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in self._functions[name](**tensors).items()}


def _compile(signature: Signature) -> Any:
    import tensorflow as tf

    return tf.function(lambda **inputs: signature(**inputs), jit_compile=True, autograph=False)
