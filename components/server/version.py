"""One version of a model, loaded: its signatures on arrays, and the thread that writes its texts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.served.folder import Signature, load_signatures
from components.served.language import ServedLanguageModel
from components.server.errors import invalid
from components.server.tensors import Arrays
from components.server.writing import WritingThread

# Signatures whose texts the writing thread writes, and their inputs that are fields of a `TextRequest`, too.
WRITING = ("serving_default", "generate", "sample")


class LoadedVersion:
    """A SavedModel in memory.

    Args:
        number: Of the version.
        folder: Of the SavedModel.

    Attributes:
        number, folder: As given.
        signatures: Name → signature.
        metadata: The signature definitions, as in saved_model.pb.
        language: The model as a language model, None if it is none.
        writing: The thread that writes its texts, None if it is no language model.
    """

    def __init__(self, number: int, folder: Path) -> None:
        # Imported here: it needs TensorFlow.
        from components.exporter.signatures import signature_defs

        self.number = number
        self.folder = folder
        self.signatures: Mapping[str, Signature] = load_signatures(folder)
        self.metadata: Mapping[str, Any] = signature_defs(folder)
        self.language: ServedLanguageModel | None = None
        self.writing: WritingThread | None = None
        if "write" in self.signatures:
            self.language = ServedLanguageModel(folder, signatures=self.signatures)
            self.writing = WritingThread(self.language)
            self.writing.start()
        self._defaults = {name: _defaults(definition) for name, definition in self.metadata.items()}
        self._uses = 0
        self._idle = threading.Condition()

    def signature(self, name: str) -> Signature:
        """A signature by name.

        Raises:
            RequestError: There is none of that name.
        """
        name = name or "serving_default"
        if name not in self.signatures:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def defaults(self, name: str) -> Arrays:
        """The inputs of a signature that a request may leave out, and what they are then."""
        return self._defaults[name or "serving_default"]

    def writes(self, name: str) -> bool:
        """Whether a signature's texts are written by the writing thread."""
        return self.writing is not None and (name or "serving_default") in WRITING

    def count_tokens(self, text: str) -> int:
        """Timesteps that a text takes; characters, where the model is no language model."""
        return len(text) if self.language is None else len(self.language.tokenizer.encode(text))

    def check_ids(self, name: str, value: np.ndarray) -> None:
        """Refuses ids that no token has: the graph would take them for any other token.

        Raises:
            RequestError: There is one.
        """
        if self.language is None or value.dtype.kind != "i":
            return
        most = len(self.language.tokenizer) - 1
        wrong = value[(value < 0) | (value > most)]
        if wrong.size:
            raise invalid(f"Input {name!r} must be ids of tokens, 0 … {most}. Received: {wrong[0]}.")

    def call(self, name: str, inputs: Arrays) -> Arrays:
        """Calls a signature with inputs of its types and shapes.

        Raises:
            RequestError: The inputs do not fit each other, or the graph refuses their values.
        """
        import tensorflow as tf

        signature = self.signature(name)
        given = {
            key: tf.constant(value, signature.inputs[key].dtype)
            for key, value in (self.defaults(name) | inputs).items()
        }
        try:
            outputs = signature(**given)
        except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError) as error:
            # What the graph refuses is the request's fault: a class that is not known, shapes that do not fit.
            raise invalid(_told(error.message)) from error
        return {key: np.asarray(value.numpy()) for key, value in outputs.items()}

    def acquire(self) -> None:
        """A request begins to use it."""
        with self._idle:
            self._uses += 1

    def release(self) -> None:
        """A request is done with it."""
        with self._idle:
            self._uses -= 1
            self._idle.notify_all()

    def close(self) -> None:
        """Waits for the requests that use it, then ends its thread."""
        with self._idle:
            self._idle.wait_for(lambda: self._uses == 0)
        if self.writing is not None:
            self.writing.close()


def _told(message: str) -> str:
    """What a graph says of its inputs, without where in the graph that was."""
    lines = [line for line in message.split("\n") if not line.startswith(("Graph execution error", "Detected at"))]
    said = " ".join(line.strip() for line in lines if line.strip() and not line.startswith(("\t [[", "  File")))
    said = said.replace("<stack traces unavailable>", "").strip()
    return said.partition(" [[{{node")[0][:500] or "The model refuses these inputs."


def _defaults(definition: Any) -> Arrays:
    import tensorflow as tf

    return {name: tf.make_ndarray(value) for name, value in definition.defaults.items()}
