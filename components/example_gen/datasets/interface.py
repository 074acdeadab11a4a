"""What a data set is to ExampleGen: features, files or options, and a parser that makes documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from components.documents import Feature, to_line
from components.example_gen.groups import GROUP_BYTES, Piece
from components.example_gen.parsed import Document, Event
from components.example_gen.sources import InputFile
from components.example_gen.split_names import SPLITS

# Made by one worker at a time.
_GENERATED_AT_A_TIME = 2000


class DataSet(Protocol):
    """A data set: in files (`FileSet`) or made (`GeneratedSet`)."""

    @property
    def features(self) -> Mapping[str, Feature]:
        """What every document has."""

    @property
    def given(self) -> bool:
        """Whether its documents name their splits."""

    @property
    def folder(self) -> str | None:
        """Name of the folder that its files lie in; None if it has none."""

    def files(self, folder: Path) -> list[InputFile]:
        """All files that documents are made of."""

    def pieces(self, folder: Path) -> Iterator[tuple[Piece, int]]:
        """Yields what to read, and about how many bytes each is."""

    def read(self, piece: Piece) -> Iterator[Event]:
        """Yields the documents and bad records of a piece."""


@dataclass(frozen=True)
class FileSet:
    """A data set in the files of a folder.

    Attributes:
        folder: Its name, below the data root.
        features: What every document has.
        splits: Name or glob of the files that are read, in order → the split of their documents, None for none.
        parse: A file → documents, each with an id, and bad records.
        beside: Names or globs of the files that `parse` opens besides.
    """

    folder: str
    features: Mapping[str, Feature]
    splits: Mapping[str, str | None]
    parse: Callable[[Path], Iterator[Event]]
    beside: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        return any(self.splits.values())

    def files(self, folder: Path) -> list[InputFile]:
        return [file for pattern in (*self.splits, *self.beside) for file in _matching(folder, pattern)]

    def pieces(self, folder: Path) -> Iterator[tuple[Piece, int]]:
        for pattern in self.splits:
            for file in _matching(folder, pattern):
                yield Piece(file.id, file.path), file.size

    def read(self, piece: Piece) -> Iterator[Event]:
        path = Path(piece.path)
        split = next(split for pattern, split in self.splits.items() if path.match(pattern))
        code = None if split is None else SPLITS.index(split)
        for event in self.parse(path):
            yield event._replace(split=code) if isinstance(event, Document) else event


def _matching(folder: Path, pattern: str) -> list[InputFile]:
    found = [
        InputFile(path.relative_to(folder).as_posix(), str(path), path.stat().st_size)
        for path in sorted(folder.glob(pattern))
    ]
    if not found:
        raise ValueError(
            f"ExampleGen: the folder of a data set must hold {pattern}. Received: {folder}. See docs/datasets.md for "
            "the files that each data set has."
        )
    return found


Options = Mapping[str, int]


@dataclass(frozen=True)
class GeneratedSet:
    """A data set that is made from a seed.

    Attributes:
        defaults: Option → its value if the source names none; `count` (documents of train) is among them.
        least: Option → smallest value.
        features_of: Options → what every document has.
        make: Split, number of the document in it from 0, options → the document.
        options: The values chosen.
    """

    defaults: Options
    least: Options
    features_of: Callable[[Options], Mapping[str, Feature]]
    make: Callable[[str, int, Options], Document]
    options: Options = field(default_factory=dict)
    folder: None = None
    given: bool = True

    @property
    def features(self) -> Mapping[str, Feature]:
        return self.features_of(self._chosen)

    @property
    def _chosen(self) -> Options:
        return {**self.defaults, **self.options}

    def files(self, folder: Path) -> list[InputFile]:
        return []

    def pieces(self, folder: Path) -> Iterator[tuple[Piece, int]]:
        count = self._chosen["count"]
        held_out = max(count // 10, 1)  # each of eval and test has a tenth as many
        for split, documents in (("train", count), ("eval", held_out), ("test", held_out)):
            for start in range(0, documents, _GENERATED_AT_A_TIME):
                stop = min(start + _GENERATED_AT_A_TIME, documents)
                yield Piece(split, "", start, stop), GROUP_BYTES

    def read(self, piece: Piece) -> Iterator[Event]:
        for number in range(piece.start, piece.stop or 0):
            yield self.make(piece.id, number, self._chosen)._replace(split=SPLITS.index(piece.id))


def document(
    name: str, number: int, offset: int, *, text: str = "", array: np.ndarray | None = None, **fields: Any
) -> Document:
    """Makes a document.

    Args:
        name: Its id.
        number: Which record of its file it is, from 1.
        offset: Byte of its file at which its record starts.
        text: Its text.
        array: Its numbers.
        fields: `label`, `tags`, `target`, `references`, `value`, and what else is known of it.
    """
    line = to_line({"id": name, **fields})
    return Document(text.encode("utf-8"), len(text), line, number, offset, id=name, array=array)
