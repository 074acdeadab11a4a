"""Folders of served models: which version, its signatures, what they take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.heavy_imports import import_quietly
from pipeline.errors import UsageError

# Signature that a model is served by → its task, of those that are no language models.
TASKS = {
    "classify": "classification",
    "tag": "tagging",
    "translate": "seq2seq",
    "caption": "captioning",
    "predict": "regression_sequence",
}


def version_folder(model: Path) -> Path:
    """The folder of a SavedModel: `model` itself, or its newest integer version.

    Raises:
        UsageError: There is no model.
    """
    if (model / "saved_model.pb").is_file():
        return model
    versions = [path for path in model.glob("*") if path.name.isdecimal() and (path / "saved_model.pb").is_file()]
    if not versions:
        raise UsageError(
            f"--model must be the folder of a served model, or of one of its versions. Received: {model}, which "
            f"{'holds no saved_model.pb' if model.is_dir() else 'is no folder'}. `run` prints where it pushes to."
        )
    return max(versions, key=lambda path: int(path.name))


def load_signatures(model: Path) -> dict[str, Signature]:
    """Loads a SavedModel and returns its signatures; they keep it alive."""
    folder = version_folder(model)
    # Imported here, after the check of the folder: TensorFlow takes seconds.
    tf = import_quietly("tensorflow")
    loaded = tf.saved_model.load(str(folder))
    return {name: Signature(loaded, function) for name, function in loaded.signatures.items()}


class Signature:
    """A signature and the model it belongs to, whose variables it refers to weakly.

    Attributes:
        inputs, outputs: Name → `TensorSpec`.
    """

    def __init__(self, model: Any, function: Any) -> None:
        self._model = model
        self._function = function
        self.inputs: Mapping[str, Any] = function.structured_input_signature[1]
        self.outputs: Mapping[str, Any] = function.structured_outputs

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables that it reads, by name: `recurrent_0/…/recurrent_kernel:0` …."""
        return {variable.name: variable for variable in self._function.variables}

    def __call__(self, **inputs: Any) -> Any:
        return self._function(**inputs)


def outdated(model: Path, lacking: str) -> UsageError:
    """What is raised for a model that an older version of the program exported."""
    return UsageError(
        f"--model must be a model that this version of the program exported. Received: {model}, without {lacking}. "
        "Run the pipeline again: what is unchanged is not done again."
    )


def language_signatures(model: Path, *names: str) -> dict[str, Signature]:
    """Loads a SavedModel and returns signatures of a language model.

    Raises:
        UsageError: There is no model, or it is one of another task.
    """
    signatures = load_signatures(model)
    missing = [name for name in names if name not in signatures]
    if not missing:
        return {name: signatures[name] for name in names}
    if "generate" in signatures:
        raise outdated(model, f"the signature {missing[0]!r}")
    own = next((signature for signature in TASKS if signature in signatures), None)
    what = "a model without it" if own is None else f"a model of the task {TASKS[own]}, whose signature is {own!r}"
    raise UsageError(
        f"--model must be the folder of a language model, with the signature {missing[0]!r}. Received: {model}, "
        f"{what}. Load it with TensorFlow, or in a server, and call what it has."
    )
