"""A split's text in blocks of bytes: where it may be cut, and a block's token ids with `<end>` where documents open."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from components.documents import Documents
from components.transform.tokenizers import Tokenizer

# Small beside a lane, which reads whole blocks; large beside the cost of a Beam element.
BLOCK_BYTES = 256 << 10
_LOOK_BYTES = 4 << 10
_CHARACTER = re.compile(rb"[^\x80-\xbf]")
_WHITESPACE = re.compile(rb"[\t-\r ]")


class Segments(NamedTuple):
    """A block's text, cut at the documents' borders.

    Attributes:
        head: What belongs to a document that opened in an earlier block.
        documents: What belongs to each document that opens in this one; a document may be empty.
    """

    head: str
    documents: list[str]


def block_ranges(documents: Documents, anywhere: bool, block: int) -> Iterator[tuple[int, int]]:
    """Yields byte ranges (start, stop) of about `block` bytes that cover the text of a split; at least one.

    Args:
        documents: The split.
        anywhere: Cut between any two characters. Else only where a document opens or before ASCII whitespace, across
            which no word, no byte pair and no normalisation of Unicode reaches.
        block: Least size of all but the last.
    """
    size, start = documents.bytes, 0
    pattern = _CHARACTER if anywhere else _WHITESPACE
    openings = documents.offsets[:, 0]
    with documents.text.open("rb") as file:
        while start + block < size:
            stop = min(int(openings[bisect_left(openings, start + block)]), size)
            for look in range(start + block, stop, _LOOK_BYTES):
                file.seek(look)
                if found := pattern.search(file.read(_LOOK_BYTES)):
                    stop = min(look + found.start(), stop)
                    break
            if stop == size:
                break
            yield start, stop
            start = stop
    yield start, size


def read_bytes(documents: Documents, start: int, stop: int) -> bytes:
    """Bytes `start` … `stop` of a split's text."""
    with documents.text.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


def openings(documents: Documents, start: int, stop: int) -> tuple[int, int]:
    """The range of documents that open in a block; those without a character at the end of the text are in the last."""
    column = documents.offsets[:, 0]
    last = len(documents) if stop == documents.bytes else bisect_left(column, stop, hi=len(documents))
    return bisect_left(column, start, hi=len(documents)), last


def segments(documents: Documents, start: int, stop: int) -> Segments:
    """Reads a block."""
    raw = read_bytes(documents, start, stop)
    first, last = openings(documents, start, stop)
    cuts = [*(documents.offsets[first:last, 0] - start).tolist(), len(raw)]
    pieces = [raw[a:b].decode("utf-8") for a, b in zip([0, *cuts[:-1]], cuts, strict=True)]
    return Segments(pieces[0], pieces[1:])


def count_block(
    documents: Documents, start: int, stop: int, count: Callable[[str], Counter[int] | Counter[str]], anywhere: bool
) -> tuple[int, Counter[int] | Counter[str]]:
    """Counts the symbols of a block.

    Args:
        documents: The split.
        start, stop: The block.
        count: Text → how often each symbol occurs in it.
        anywhere: The documents' borders make no difference to `count`.

    Returns:
        Tokens of the block, an `<end>` for each document that opens in it included; and the counts.
    """
    if anywhere:
        first, last = openings(documents, start, stop)
        counts = count(read_bytes(documents, start, stop).decode("utf-8"))
        return counts.total() + last - first, counts
    head, texts = segments(documents, start, stop)
    counts = count(head)
    for text in texts:
        counts.update(count(text))  # type: ignore[arg-type]  # both count the same kind of symbol
    return counts.total() + len(texts), counts


def encode_block(documents: Documents, start: int, stop: int, tokenizer: Tokenizer) -> np.ndarray:
    """Token ids of a block, `<end>` before each document that opens in it."""
    if not tokenizer.is_local:
        head, texts = segments(documents, start, stop)
        pieces = [tokenizer.encode(head)]
        for text in texts:
            pieces += [np.full(1, tokenizer.end), tokenizer.encode(text)]
        return np.concatenate(pieces)
    # All documents in one go: there may be thousands of short ones.
    raw = read_bytes(documents, start, stop)
    first, last = openings(documents, start, stop)
    if first == last:
        return tokenizer.encode(raw.decode("utf-8"))
    offsets = documents.offsets[first:last]
    opened = int(offsets[0, 0]) - start
    before, rest = tokenizer.encode(raw[:opened].decode("utf-8")), tokenizer.encode(raw[opened:].decode("utf-8"))
    positions = offsets[:, tokenizer.column] - offsets[0, tokenizer.column]
    return np.concatenate([before, np.insert(rest, positions, tokenizer.end)])
