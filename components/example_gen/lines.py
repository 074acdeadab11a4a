"""The lines of a file one by one, for records; a line longer than any record is passed over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from components.example_gen.records import LONGEST_RECORD, RecordError

# Some programs begin a file of records with it; it is no part of the first one.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TooLong(RecordError):
    """Stands for a line that is longer than the longest record."""

    def __init__(self) -> None:
        super().__init__(
            f"a record must have {LONGEST_RECORD >> 20} MiB at most", "a longer record", "Look for a missing line end"
        )


def lines_of(blocks: Iterable[bytes], offset: int = 0) -> Iterator[tuple[int, bytes | TooLong]]:
    """Yields each line with the newline that ends it, and the byte at which it starts.

    Args:
        blocks: Of the file. What they raise comes after the lines that were whole.
        offset: Byte of the file at which the blocks start.
    """
    parts: list[bytes] = []  # of the line that no block has ended yet
    size = 0
    for block in blocks:
        *whole, rest = block.split(b"\n")
        for piece in whole:
            size += len(piece) + 1
            if size > LONGEST_RECORD:
                yield offset, TooLong()
            else:
                yield offset, b"".join((*parts, piece, b"\n"))
            offset, parts, size = offset + size, [], 0
        size += len(rest)
        if size <= LONGEST_RECORD:
            parts.append(rest)
        else:
            parts.clear()
    if size:
        yield offset, TooLong() if size > LONGEST_RECORD else b"".join(parts)
