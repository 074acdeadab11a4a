"""How a signature answers records: which input a record goes into, what the other inputs are. Reads no variable."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.heavy_imports import import_quietly
from components.served.folder import version_folder
from components.served.request import TextRequest
from pipeline.errors import UsageError, did_you_mean

SEED = "seed"


@dataclasses.dataclass(frozen=True)
class Call:
    """A signature with all that its calls have in common.

    Attributes:
        folder: The version of the model.
        signature: The signature's name.
        record: The input that records go into.
        options: The other inputs, one value for all records.
        seed: The seed that each record's own is made from; None where nothing is drawn.
    """

    folder: Path
    signature: str
    record: str
    options: Mapping[str, int | float]
    seed: int | None

    def seed_of(self, key: str) -> int:
        """A record's seed, of 53 bits: those that every reader of JSON can take.

        It depends on the key alone, so that a record's answer is the same whatever is beside it.
        """
        digest = hashlib.sha256(f"{self.seed} {key}".encode()).digest()
        return int.from_bytes(digest[:8]) >> 11


def describe(model: Path, signature: str, options: Mapping[str, str], seed: int | None) -> Call:
    """Finds out how records are answered.

    Args:
        model: Folder of the served model or of one of its versions.
        signature: The signature's name.
        options: Values for inputs of the signature, as text; the others have the signature's defaults.
        seed: None for 0, where there is something to be drawn.

    Raises:
        UsageError: There is no such model or signature, it does not answer text, or an option is not one of its.
    """
    folder = version_folder(model)
    # Imported here, after the check of the folder: TensorFlow takes seconds.
    tf = import_quietly("tensorflow")
    known = import_quietly("components.exporter.signatures").signature_defs(folder)
    usable = sorted(name for name in known if _record_input(tf, known[name]) is not None)
    if signature not in usable:
        raise UsageError(
            f"bulk: --signature must be one that answers a text. Received: {signature!r}, "
            f"{'which does not' if signature in known else f'which {model} does not have'}."
            f"{did_you_mean(signature, usable)} Those that do: {', '.join(usable) or 'none'}."
        )
    definition = known[signature]
    defaults = {name: tf.make_ndarray(default)[0].item() for name, default in sorted(definition.defaults.items())}
    drawn = defaults.pop(SEED, None) is not None
    if seed is not None and not drawn:
        raise UsageError(f"bulk: --seed must go with a signature that draws. Received: {signature!r}. Leave it out.")
    return Call(
        folder=folder,
        signature=signature,
        record=str(_record_input(tf, definition)),
        options=defaults | {name: _value(name, text, defaults, signature) for name, text in options.items()},
        seed=(seed or 0) if drawn else None,
    )


def _record_input(tf: Any, definition: Any) -> str | None:
    """The name of the only input of texts; None if there is none, or it takes or answers what a record has not."""
    needed = [name for name in definition.inputs if name not in definition.defaults]
    if len(needed) != 1 or definition.inputs[needed[0]].dtype != tf.string.as_datatype_enum:
        return None
    # How long a row of the batch is: only tags say so, by what is not empty.
    has_rows = any(-1 in _dims(info)[1:] for info in definition.outputs.values())
    return None if has_rows and "tags" not in definition.outputs else needed[0]


def _dims(info: Any) -> list[int]:
    return [dim.size for dim in info.tensor_shape.dim]


def _value(name: str, text: str, defaults: Mapping[str, int | float], signature: str) -> int | float:
    if name not in defaults:
        raise UsageError(
            f"bulk: --set must name an input of the signature {signature!r}. Received: {name}={text}."
            f"{did_you_mean(name, defaults)}{' Use --seed.' if name == SEED else ''} "
            f"Its inputs: {', '.join(defaults) or 'none besides the record'}."
        )
    kind = type(defaults[name])
    try:
        value = kind(text)
    except ValueError as error:
        rule = "an integer" if kind is int else "a number"
        raise UsageError(f"bulk: --set {name} must be {rule}. Received: {name}={text}.") from error
    if name in {field.name for field in dataclasses.fields(TextRequest)}:
        try:
            TextRequest(**{name: value})  # type: ignore[arg-type]
        except ValueError as error:
            raise UsageError(str(error)) from error
    elif not 1 <= value < 2**31:
        raise UsageError(f"bulk: --set {name} must be >= 1 and below 2^31. Received: {name}={text}.")
    return value
