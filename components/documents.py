"""Documents on disk: the text and arrays of a split, where each document begins, and what else is known of each.

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
from components.document_arrays import ARRAY_STARTS, ARRAYS, ArraysWriter
from components.features import Feature as Feature
from components.features import read_features as read_features
from components.features import write_features as write_features

TEXT, OFFSETS, DIGESTS, FIELDS = "documents.txt", "offsets.npy", "digests.npy", "documents.jsonl"

# Made once: json.dumps would make one for each document.
_ENCODER = json.JSONEncoder(ensure_ascii=False)


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
        """A hash of what each document holds (see `digests_of`): uint64 [documents]. Mapped from the disk."""
        return np.load(self.folder / DIGESTS, mmap_mode="r")

    def fields(self) -> Iterator[dict[str, Any]]:
        """Yields what is known of each document: its `id`, and whatever its source said besides."""
        with (self.folder / FIELDS).open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)

    def read(self, document: int) -> str:
        """The text of one document."""
        start, stop = self.offsets[document : document + 2, 0].tolist()
        with self.text.open("rb") as file:
            file.seek(start)
            return file.read(stop - start).decode("utf-8")

    @cached_property
    def array_starts(self) -> np.ndarray:
        """Byte of `arrays` at which each document's array starts, and their total: int64 [documents + 1]. Mapped."""
        return np.load(self.folder / ARRAY_STARTS, mmap_mode="r")

    @property
    def arrays(self) -> Path:
        """The file that holds all arrays, one after the other."""
        return self.folder / ARRAYS

    def array(self, document: int, feature: Feature) -> np.ndarray:
        """The array of one document.

        Args:
            document: Its number.
            feature: What `read_features` says of `array`.

        Returns:
            Of the feature's dtype and shape.
        """
        if feature.dtype is None or feature.shape is None:
            raise ValueError(
                f"Documents: an array must have a dtype and a shape. Received: feature={feature!r}. Take the feature "
                "`array` of `read_features`."
            )
        start, stop = self.array_starts[document : document + 2].tolist()
        with self.arrays.open("rb") as file:
            file.seek(start)
            raw = file.read(stop - start)
        shape = [-1 if size is None else size for size in feature.shape]
        return np.frombuffer(raw, np.dtype(feature.dtype).newbyteorder("<")).reshape(shape)


class DocumentWriter:
    """Writes the documents of a split, in order; a context manager. Nothing of a document stays in memory.

    A document comes in one piece (`write`), in several (`append`, then `end` or `take_back`), or with many others whose
    sizes are known (`write_many`).

    Args:
        folder: An existing, empty folder.
        arrays: Whether each document has an array.
    """

    def __init__(self, folder: Path, *, arrays: bool = False) -> None:
        self._folder = folder
        self._arrays = ArraysWriter(folder) if arrays else None
        self._bytes = self._characters = 0
        self._open = _OpenDocument(0)

    def __enter__(self) -> Self:
        self._text = (self._folder / TEXT).open("wb")
        self._fields = (self._folder / FIELDS).open("wb")
        self._offsets = ArrayFile(self._folder / OFFSETS, np.int64, columns=2)
        self._digests = ArrayFile(self._folder / DIGESTS, np.uint64)
        self._offsets.extend([[0, 0]])
        return self

    def write(self, raw: bytes, characters: int, fields: Mapping[str, Any], array: np.ndarray | None = None) -> None:
        """Adds a document.

        Args:
            raw: Its UTF-8 bytes.
            characters: How many characters they are.
            fields: Its `id`, and what else is known of it, as JSON values.
            array: Its numbers, where documents have some.
        """
        self.append(raw, characters)
        self.end(to_line(fields), None if array is None else to_bytes(array))

    def append(self, raw: bytes, characters: int) -> None:
        """Adds a part of a document: whole characters."""
        self._text.write(raw)
        self._open.add(raw, characters)

    def end(self, line: bytes, array: bytes | None = None) -> None:
        """Closes the document whose parts were appended; without any it is empty.

        Args:
            line: `to_line` of its fields.
            array: `to_bytes` of its array, where documents have some.
        """
        if (array is None) != (self._arrays is None):
            raise ValueError(
                "DocumentWriter: every document must have an array, or none. Received: "
                f"{'none' if array is None else 'one'}, with arrays={self._arrays is not None}."
            )
        if self._arrays is not None and array is not None:
            self._arrays.extend([array], [len(array)])
            self._open.add_array(array)
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

    def write_many(
        self,
        text: Iterable[bytes],
        lengths: np.ndarray,
        digests: np.ndarray,
        lines: bytes,
        arrays: Iterable[bytes] = (),
        array_sizes: Sequence[int] | np.ndarray = (),
    ) -> None:
        """Adds documents whose sizes are known.

        Args:
            text: Their UTF-8 bytes, nothing between them, in any pieces.
            lengths: Bytes and characters of each: int64 [documents, 2].
            digests: `digests_of` each: uint64 [documents].
            lines: `to_line` of each one's fields, one after the other.
            arrays: `to_bytes` of their arrays, nothing between them, in any pieces.
            array_sizes: Bytes of each array: [documents], or empty where documents have none.
        """
        if self._arrays is not None:
            self._arrays.extend(arrays, array_sizes)
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
        for file in (self._text, self._fields, self._offsets, self._digests, self._arrays):
            if file is not None:
                file.close()


def to_line(fields: Mapping[str, Any]) -> bytes:
    """A line of `documents.jsonl`. Raises UnicodeEncodeError for half a surrogate pair, which UTF-8 cannot hold."""
    return _ENCODER.encode(fields).encode("utf-8") + b"\n"


def to_bytes(array: np.ndarray) -> bytes:
    """What `arrays.bin` holds of an array: its numbers, little-endian, in C order."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def digests_of(text: bytes, stops: Sequence[int], arrays: Sequence[bytes] = ()) -> np.ndarray:
    """The digests of documents that lie one after the other: BLAKE2b, shortened to 64 bits.

    Of the bytes of a document's text and then of its array: two documents with the same content have the same digest,
    whatever else is known of them.

    Args:
        text: The bytes of their texts.
        stops: The end of each in `text`.
        arrays: `to_bytes` of the array of each, where documents have some.

    Returns:
        uint64 [documents].
    """
    hashes = [_new_hash(text[start:stop]) for start, stop in zip([0, *stops], stops, strict=False)]
    if arrays:
        for of_document, array in zip(hashes, arrays, strict=True):
            of_document.update(array)
    return np.frombuffer(b"".join([of_document.digest() for of_document in hashes]), "<u8")


_new_hash = functools.partial(hashlib.blake2b, digest_size=8)


class _OpenDocument:
    """What is known of the document that is being written."""

    def __init__(self, start: int) -> None:
        self.start, self.bytes, self.characters, self._hash = start, 0, 0, _new_hash()

    def add(self, raw: bytes, characters: int) -> None:
        self.bytes += len(raw)
        self.characters += characters
        self._hash.update(raw)

    def add_array(self, raw: bytes) -> None:
        self._hash.update(raw)

    def digest(self) -> int:
        return int.from_bytes(self._hash.digest(), "little")
