"""Checkpoints: arrays and values in one file, written whole or not at all, checked when read, the oldest removed.

step-000000001234.ckpt      a line `checkpoint 1 sha256 <hex>`, then what the digest is of: a NumPy .npz archive of
                            the arrays, and in it `values.json`
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from components.workspace import locked
from pipeline.files import sync_folder

ONE_AT_A_TIME = "Trainer: one process at a time may train with the checkpoints of a root"
_MAGIC = b"checkpoint 1 sha256 "
_HEADER_BYTES = len(_MAGIC) + 64 + 1
_VALUES = "values.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs in order to go on.

    Attributes:
        step: Updates done.
        arrays: Name → array.
        values: What is no array; JSON.
    """

    step: int
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any]

    def is_finite(self) -> bool:
        """Whether all weights, and what belongs to them, are finite numbers (states and figures need not be)."""
        weights = (array for name, array in self.arrays.items() if name.startswith("variable."))
        return all(np.isfinite(array).all() for array in weights if array.dtype.kind == "f")


class DamagedCheckpoint(ValueError):
    """A file is not what was written: torn, changed, or of another program."""


def encode(checkpoint: Checkpoint) -> tuple[bytes, memoryview]:
    """A checkpoint as the bytes of its file: the line with the checksum, and the rest."""
    buffer = io.BytesIO()
    np.savez(buffer, **checkpoint.arrays)  # type: ignore[arg-type] # numpy's stub takes the keywords for its own
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(_VALUES, json.dumps({"step": checkpoint.step, **checkpoint.values}))
    payload = buffer.getbuffer()
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n", payload


def decode(content: bytes) -> Checkpoint:
    """The checkpoint in the bytes of a file.

    Raises:
        DamagedCheckpoint: The bytes are not those that `encode` made.
    """
    header, payload = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    if header != _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        raise DamagedCheckpoint("its checksum does not fit its content")
    with np.load(io.BytesIO(payload), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != _VALUES}
        values = json.loads(archive.zip.read(_VALUES))
    return Checkpoint(values.pop("step"), arrays, values)


class CheckpointStore:
    """The checkpoints of one training, in a folder that one process at a time may use.

    Use as a context manager: it holds the folder's lock.

    Args:
        folder: Made when missing.
        keep: Newest checkpoints that stay.

    Raises:
        RuntimeError: Another process is training with this folder.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self._keep = keep

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self.folder, ONE_AT_A_TIME))
            for torn in self.folder.glob(".*.tmp"):  # a process died while it wrote them
                torn.unlink()
            self._lock = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()

    def files(self) -> list[Path]:
        """The checkpoints' files, oldest first."""
        return sorted(self.folder.glob("step-*.ckpt"))

    def save(self, checkpoint: Checkpoint) -> Path:
        """Writes a checkpoint and removes those that are too many; a step that was saved before is replaced."""
        path = self.folder / f"step-{checkpoint.step:012d}.ckpt"
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                for piece in encode(checkpoint):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(self.folder)
        for old in self.files()[: -self._keep]:
            old.unlink()
        return path

    def newest(self, note: Callable[[str], None]) -> Checkpoint | None:
        """Reads the newest checkpoint that is whole; damaged newer ones are told of and removed.

        Args:
            note: Told a sentence for each damaged file.

        Raises:
            DamagedCheckpoint: There are checkpoints and none is whole.
        """
        damaged = []
        for path in reversed(self.files()):
            try:
                checkpoint = decode(path.read_bytes())
            except DamagedCheckpoint as error:
                damaged.append(path)
                note(f"Trainer: the checkpoint {path} is damaged ({error}); looking at the one before.")
                continue
            except OSError as error:
                raise RuntimeError(
                    f"Trainer: checkpoints must be readable. Received: {path} ({error.strerror}). Make it readable, or "
                    "move it away to go on from the one before."
                ) from error
            for bad in damaged:
                bad.unlink()
            return checkpoint
        if damaged:
            raise DamagedCheckpoint(
                f"Trainer: one checkpoint must be whole to go on from. Received: {self.folder}, where all "
                f"{len(damaged)} are damaged. Delete the folder to train anew."
            )
        return None
