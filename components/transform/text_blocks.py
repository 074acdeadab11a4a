"""Reading UTF-8 text in blocks of bytes, without cutting a character and without reading what comes before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

# Small beside a lane, which reads whole blocks; large beside the cost of a Beam element.
BLOCK_BYTES = 256 << 10
_LONGEST_CHARACTER = 4


def block_ranges(size: int, block: int = BLOCK_BYTES) -> Iterator[tuple[int, int]]:
    """Byte ranges (start, stop) of `block` bytes that cover a file of `size` bytes."""
    return ((start, min(start + block, size)) for start in range(0, size, block))


def read_block(path: Path, start: int, stop: int) -> str:
    """The characters whose first byte lies in `start` … `stop`."""
    with path.open("rb") as file:
        file.seek(start)
        # The last character may end after the block.
        raw = file.read(stop - start + _LONGEST_CHARACTER - 1)
    # Where characters begin (a continuation byte is 10xxxxxx). What was read ends with a character, or else with one
    # more than the block needs, so its end counts as well; a block may hold nothing but the end of a character.
    border = np.append((np.frombuffer(raw, np.uint8) & 0xC0) != 0x80, True)
    first = int(np.argmax(border))
    last = stop - start + int(np.argmax(border[stop - start :]))
    return raw[first:last].decode("utf-8")


def count_characters(text: str) -> Mapping[int, int]:
    """Code point → how often it occurs."""
    codes, counts = np.unique(np.frombuffer(text.encode("utf-32-le"), "<u4"), return_counts=True)
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))
