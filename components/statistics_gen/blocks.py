"""Blocks: byte ranges of a split's text, whole documents or a part of a long one, and of its documents.jsonl.

They depend on the documents alone, never on the workers. A long document is cut after ASCII whitespace, so that no word
and no pair of characters that Unicode would compose is cut; only a run of more than 64 KiB without any is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.documents import FIELDS, Documents

# Memory of a worker is some fifty times this, time per Beam element and per block is small beside it.
BLOCK_BYTES = 2 << 20
# Without whitespace in so many bytes after a block's size, the block ends between any two characters.
_SEARCHED = 64 << 10
_WHITESPACE = np.frombuffer(b" \t\n\r\x0b\x0c", np.uint8)


class Block(NamedTuple):
    """A byte range of one file of a split.

    Attributes:
        number: Its number among all blocks, which names its results.
        split: Name of the split.
        kind: `documents` (whole ones), `part` (of one document) or `fields` (of documents.jsonl).
        first: The first document.
        last: One more than the last document; 0 for `fields`.
        start: First byte.
        stop: One more than the last byte; for `fields`, lines that start before it belong to the block.
    """

    number: int
    split: str
    kind: str
    first: int
    last: int
    start: int
    stop: int


def cut_blocks(splits: Mapping[str, Documents], size: int = BLOCK_BYTES) -> list[Block]:
    """Cuts every split into blocks of about `size` bytes, in order of split, kind and position."""
    found: list[Block] = []
    for split, documents in sorted(splits.items()):
        for kind, first, last, start, stop in (*_text(documents, size), *_fields(documents, size)):
            found.append(Block(len(found), split, kind, first, last, start, stop))
    return found


def _fields(documents: Documents, size: int) -> Iterator[tuple[str, int, int, int, int]]:
    total = (documents.folder / FIELDS).stat().st_size
    for start in range(0, total, size):
        yield "fields", 0, 0, start, min(start + size, total)


def _text(documents: Documents, size: int) -> Iterator[tuple[str, int, int, int, int]]:
    starts = np.ascontiguousarray(documents.offsets[:, 0])
    first = 0
    while first < len(documents):
        start = int(starts[first])
        last = int(np.searchsorted(starts, start + size, side="right")) - 1
        if last > first:
            yield "documents", first, last, start, int(starts[last])
            first = last
        else:
            for span in _parts(documents.text, start, int(starts[first + 1]), size):
                yield "part", first, first + 1, *span
            first += 1


def _parts(path: Path, start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    with path.open("rb") as file:
        while stop - start > size:
            file.seek(start + size)
            after = np.frombuffer(file.read(min(_SEARCHED, stop - start - size)), np.uint8)
            border = np.flatnonzero(np.isin(after, _WHITESPACE)) + 1
            if not len(border) and start + size + len(after) < stop:
                border = np.flatnonzero((after & 0xC0) != 0x80)  # where a character begins
            middle = start + size + int(border[0]) if len(border) else stop
            yield start, middle
            start = middle
    if start < stop:
        yield start, stop
