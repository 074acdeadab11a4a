"""Documents on disk: the text of a split, where each document begins in it, and what else is known of each.

ExampleGen writes them, the stages after it read them; the tree is in `pipeline.artifacts.Examples`. Writing keeps
nothing of a document in memory, and reading maps what it needs.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from components.array_file import ArrayFile

TEXT, OFFSETS, DIGESTS, FIELDS = "documents.txt", "offsets.npy", "digests.npy", "documents.jsonl"
ARRAYS, ARRAY_STARTS, FEATURES = "arrays.bin", "arrays.npy", "features.json"

# Made once: json.dumps would make one for each document.
_ENCODER = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True)
class Feature:
    """What every document of an Examples artifact has.

    Attributes:
        kind: `text`, `class`, `classes`, `number` or `array`.
        dtype: NumPy name of an array's type, little-endian on disk.
        shape: Of a document's array; None where it varies, which is the first axis at most.
    """

    kind: str
    dtype: str | None = None
    shape: tuple[int | None, ...] | None = None


def read_features(examples: Path) -> dict[str, Feature]:
    """Name → feature, from `features.json` of an Examples artifact; without one there is the text alone."""
    path = examples / FEATURES
    if not path.exists():
        return {"text": Feature("text")}
    features = json.loads(path.read_text("utf-8"))
    return {
        name: Feature(known["kind"], known.get("dtype"), tuple(known["shape"]) if "shape" in known else None)
        for name, known in features.items()
    }


@dataclass(frozen=True)
class Documents:
    """The documents of one split, as `DocumentWriter` wrote them.

    Attributes:
        folder: `Split-S` of an Examples artifact.
    """

    folder: Path

    @classmethod
    def splits(cls, examples: Path) -> dict[str, Documents]:
        """Split name → its documents, for every `Split-S` folder of an Examples artifact, by name."""
        return {path.name.removeprefix("Split-"): cls(path) for path in sorted(examples.glob("Split-*"))}

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder,)  # a worker maps the files itself

    @property
    def text(self) -> Path:
        """The UTF-8 file that holds all documents, one after the other."""
        return self.folder / TEXT

    @cached_property
    def offsets(self) -> np.ndarray:
        """First byte and first character of each document, and after the last their totals: int64 [documents + 1, 2].

        Mapped from the disk.
        """
        return np.load(self.folder / OFFSETS, mmap_mode="r")

    @property
    def bytes(self) -> int:
        """Bytes of all documents."""
        return int(self.offsets[-1, 0])

    @property
    def characters(self) -> int:
        """Characters of all documents."""
        return int(self.offsets[-1, 1])

    @cached_property
    def digests(self) -> np.ndarray:
        """BLAKE2b of each document's bytes, shortened to 64 bits: uint64 [documents]. Mapped from the disk."""
        return np.load(self.folder / DIGESTS, mmap_mode="r")

    def fields(self) -> Iterator[dict[str, Any]]:
        """Yields what is known of each document: its `id`, and whatever its source said besides."""
        with (self.folder / FIELDS).open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)

    @cached_property
    def array_starts(self) -> np.ndarray:
        """Byte at which each document's array starts, and their total: int64 [documents + 1]. Mapped from the disk."""
        return np.load(self.folder / ARRAY_STARTS, mmap_mode="r")

    def array(self, document: int, feature: Feature) -> np.ndarray:
        """The array of one document.

        Args:
            document: Its number.
            feature: Type and shape.
        """
        start, stop = self.array_starts[document : document + 2].tolist()
        dtype = np.dtype(feature.dtype).newbyteorder("<")
        shape = [-1 if length is None else length for length in feature.shape or ()]
        # -1 says nothing of an array without a number.
        shape = shape if stop > start else [max(length, 0) for length in shape]
        count = (stop - start) // dtype.itemsize
        return np.fromfile(self.folder / ARRAYS, dtype, count, offset=start).reshape(shape)

    def read(self, document: int) -> str:
        """The text of one document."""
        start, stop = self.offsets[document : document + 2, 0].tolist()
        with self.text.open("rb") as file:
            file.seek(start)
            return file.read(stop - start).decode("utf-8")


class DocumentWriter:
    """Writes the documents of a split, in order; a context manager. Nothing of a document stays in memory.

    A document comes in one piece (`write`), in several (`append`, then `end` or `take_back`), or with many others whose
    sizes are known (`write_many`).

    Args:
        folder: An existing, empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = self._characters = 0
        self._open = _OpenDocument(0)

    def __enter__(self) -> Self:
        self._text = (self._folder / TEXT).open("wb")
        self._fields = (self._folder / FIELDS).open("wb")
        self._offsets = ArrayFile(self._folder / OFFSETS, np.int64, columns=2)
        self._digests = ArrayFile(self._folder / DIGESTS, np.uint64)
        self._offsets.extend([[0, 0]])
        return self

    def write(self, raw: bytes, characters: int, fields: Mapping[str, Any]) -> None:
        """Adds a document.

        Args:
            raw: Its UTF-8 bytes.
            characters: How many characters they are.
            fields: Its `id`, and what else is known of it, as JSON values.
        """
        self.append(raw, characters)
        self.end(to_line(fields))

    def append(self, raw: bytes, characters: int) -> None:
        """Adds a part of a document: whole characters."""
        self._text.write(raw)
        self._open.add(raw, characters)

    def end(self, line: bytes) -> None:
        """Closes the document whose parts were appended; without any it is empty.

        Args:
            line: `to_line` of its fields.
        """
        self._bytes += self._open.bytes
        self._characters += self._open.characters
        self._offsets.extend([[self._bytes, self._characters]])
        self._digests.extend([self._open.digest()])
        self._fields.write(line)
        self._open = _OpenDocument(self._bytes)

    def take_back(self) -> None:
        """Forgets what was appended since the last document ended."""
        if self._open.bytes:
            self._text.seek(self._open.start)
            self._text.truncate()
        self._open = _OpenDocument(self._bytes)

    def write_many(self, text: Iterable[bytes], lengths: np.ndarray, digests: np.ndarray, lines: bytes) -> None:
        """Adds documents whose sizes are known.

        Args:
            text: Their UTF-8 bytes, nothing between them, in any pieces.
            lengths: Bytes and characters of each: int64 [documents, 2].
            digests: `digest` of each: uint64 [documents].
            lines: `to_line` of each one's fields, one after the other.
        """
        for piece in text:
            self._text.write(piece)
        offsets = np.cumsum(lengths, axis=0) + np.array([self._bytes, self._characters])
        self._offsets.extend(offsets)
        self._digests.extend(digests)
        self._fields.write(lines)
        if len(offsets):
            self._bytes, self._characters = offsets[-1].tolist()
            self._open = _OpenDocument(self._bytes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.take_back()
        for file in (self._text, self._fields, self._offsets, self._digests):
            file.close()


def to_line(fields: Mapping[str, Any]) -> bytes:
    """A line of `documents.jsonl`. Raises UnicodeEncodeError for half a surrogate pair, which UTF-8 cannot hold."""
    return _ENCODER.encode(fields).encode("utf-8") + b"\n"


def digests_of(text: bytes, stops: Sequence[int]) -> np.ndarray:
    """The digests of documents that lie one after the other: BLAKE2b of the bytes, shortened to 64 bits.

    Args:
        text: Their bytes.
        stops: The end of each in `text`.

    Returns:
        uint64 [documents].
    """
    found = [_new_hash(text[start:stop]).digest() for start, stop in zip([0, *stops], stops, strict=False)]
    return np.frombuffer(b"".join(found), "<u8")


_new_hash = functools.partial(hashlib.blake2b, digest_size=8)


class _OpenDocument:
    """What is known of the document that is being written."""

    def __init__(self, start: int) -> None:
        self.start, self.bytes, self.characters, self._hash = start, 0, 0, _new_hash()

    def add(self, raw: bytes, characters: int) -> None:
        self.bytes += len(raw)
        self.characters += characters
        self._hash.update(raw)

    def digest(self) -> int:
        return int.from_bytes(self._hash.digest(), "little")
