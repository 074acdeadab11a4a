"""Documents on disk: the text of a split, where each document begins in it, and what else is known of each.

ExampleGen writes them, the stages after it read them; the tree is in `pipeline.artifacts.Examples`. Memory grows by a
few bytes a document, never with the text.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

TEXT, OFFSETS, DIGESTS, FIELDS = "documents.txt", "offsets.npy", "digests.npy", "documents.jsonl"


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

    def read(self, document: int) -> str:
        """The text of one document."""
        start, stop = self.offsets[document : document + 2, 0].tolist()
        with self.text.open("rb") as file:
            file.seek(start)
            return file.read(stop - start).decode("utf-8")


class DocumentWriter:
    """Writes the documents of a split, in order; a context manager.

    Args:
        folder: An existing, empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets = array("q", [0, 0])
        self._digests = array("Q")

    def __enter__(self) -> Self:
        self._text = (self._folder / TEXT).open("wb")
        self._fields = (self._folder / FIELDS).open("w", encoding="utf-8", newline="\n")
        return self

    def write(self, raw: bytes, characters: int, fields: Mapping[str, Any]) -> None:
        """Adds a document.

        Args:
            raw: Its UTF-8 bytes.
            characters: How many characters they are.
            fields: Its `id`, and what else is known of it, as JSON values.
        """
        self._text.write(raw)
        self._fields.write(json.dumps(fields, ensure_ascii=False) + "\n")
        self._offsets.extend((self._offsets[-2] + len(raw), self._offsets[-1] + characters))
        self._digests.append(int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._text, self._fields:
            if kind is None:
                np.save(self._folder / OFFSETS, np.frombuffer(self._offsets, np.int64).reshape(-1, 2))
                np.save(self._folder / DIGESTS, np.frombuffer(self._digests, np.uint64))
