"""How the reading of a corpus is divided: pieces of files, in groups, the same whoever reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from components.documents import Feature
from components.example_gen.blocks import is_compressed
from components.example_gen.sources import InputFile
from pipeline.config import FieldsConfig

# Large beside the cost of a Beam element; small enough to keep several workers busy with one file.
GROUP_BYTES = 32 << 20
_GROUP_FILES = 10_000


@dataclass(frozen=True)
class Piece:
    """Part of a corpus that is read from its beginning to its end.

    Attributes:
        id: Name of its file, or of the tfds split.
        path: Where it is; the text itself for `inline:`.
        start: First byte, or example.
        stop: The one after the last; None for a whole file.
    """

    id: str
    path: str
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Group:
    """Pieces that one worker reads one after the other.

    Attributes:
        number: From 0, in the order of the corpus.
        pieces: At least one.
    """

    number: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Job:
    """What all groups of a corpus have in common.

    Attributes:
        folder: Where the groups are staged.
        layout: What a file is to a parser: `file`, `line`, `separator`, `markdown`, `inline`, `jsonl`, `csv`, `tsv`,
            `tfds` or `dataset`.
        fields: Which field of a record is what.
        features: What each document has; an array without a shape gets that of the arrays found.
        separator: What lies between documents, for `separator`.
        dataset: Name for `tfds.builder`, or for `datasets.registry.find`.
        data_dir: Where tfds keeps its data sets; None for its default.
    """

    folder: str
    layout: str
    fields: FieldsConfig
    features: Mapping[str, Feature] = field(default_factory=lambda: {"text": Feature("text")})
    separator: bytes = b""
    dataset: str = ""
    data_dir: str | None = None

    @property
    def numbered(self) -> bool:
        """Whether a document is named after its file and its number in it."""
        return self.layout not in ("file", "markdown", "inline", "dataset") and self.fields.id is None

    @property
    def records_name_splits(self) -> bool:
        """Whether each document says which split it belongs to; else its file or tfds split does."""
        return self.layout == "dataset" or self.fields.split is not None

    @property
    def array(self) -> Feature | None:
        """What the array of a document is; None if it has none."""
        return self.features.get("array")


def file_pieces(files: Iterable[InputFile], layout: str) -> Iterator[tuple[Piece, int]]:
    """Yields what to read of each file, and how many bytes that is; files of lines are divided."""
    for file in files:
        if layout in ("line", "jsonl") and not is_compressed(file.path) and file.size > GROUP_BYTES:
            for start in range(0, file.size, GROUP_BYTES):
                stop = min(start + GROUP_BYTES, file.size)
                yield Piece(file.id, file.path, start, stop), stop - start
        else:
            yield Piece(file.id, file.path), file.size


def bytes_of_text(pieces: Sequence[tuple[Piece, int]], layout: str) -> int:
    """How many bytes of documents there will be, about; 0 where the files' sizes do not tell."""
    if layout not in ("file", "line", "separator") or any(is_compressed(piece.path) for piece, _ in pieces):
        return 0
    return sum(size for _, size in pieces)


def make_groups(pieces: Iterable[tuple[Piece, int]]) -> Iterator[Group]:
    """Puts pieces that follow each other together until they are large enough.

    Args:
        pieces: Each with its size in bytes.
    """
    number, size = 0, 0
    together: list[Piece] = []
    for piece, piece_size in pieces:
        if together and (size + piece_size > GROUP_BYTES or len(together) == _GROUP_FILES):
            yield Group(number, tuple(together))
            number, together, size = number + 1, [], 0
        together.append(piece)
        size += piece_size
    if together:
        yield Group(number, tuple(together))
