"""What a parser makes of a file: documents, parts of long ones, and bad records. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Document(NamedTuple):  # a dataclass takes three times as long to make, and millions are made
    """A document that was read whole.

    Attributes:
        raw: Its UTF-8 bytes.
        characters: How many characters they are.
        line: `components.documents.to_line` of its fields; without `id` if its number is its name.
        number: Which record of its file it is, from 1.
        offset: Byte of its file at which its record starts.
        id: Its name; None if it is numbered.
        split: Position in `split_names.SPLITS` of the split that its record names.
        array: Its numbers, where documents have some.
    """

    raw: bytes
    characters: int
    line: bytes
    number: int
    offset: int
    id: str | None = None
    split: int | None = None
    array: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents without fields that lie near each other in their file.

    Attributes:
        raw: Their UTF-8 bytes, nothing between them.
        lengths: Bytes and characters of each: int64 [documents, 2].
        first: Number of the first; the others follow it.
        offsets: Byte of the file at which each starts: int64 [documents].
    """

    raw: bytes
    lengths: np.ndarray
    first: int
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class Part:
    """Whole characters of a document that is read in parts; `End` closes it, a `BadRecord` takes it back."""

    raw: bytes
    characters: int


@dataclass(frozen=True, slots=True)
class End:
    """The end of a document that was read in parts; number and offset as in `Document`."""

    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot become a document.

    Attributes:
        offset: Byte of the (decompressed) file at which the trouble is.
        line: The line, or the record, from 1; None where the file has none.
        rule: What a record must be, for people.
        reason: What this one is.
        fix: What to do about it.
    """

    offset: int
    line: int | None
    rule: str
    reason: str
    fix: str


class RecordError(ValueError):
    """What is wrong with a record: rule, reason and fix as in `BadRecord`."""

    def __init__(self, rule: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.fix = rule, reason, fix

    def at(self, offset: int, line: int | None) -> BadRecord:
        """Says where it is."""
        return BadRecord(offset, line, self.rule, self.reason, self.fix)


@dataclass(frozen=True, slots=True)
class Total:
    """How many records a range of a file had, good, bad and blank: the next range's numbers follow it."""

    records: int


Event = Document | Batch | Part | End | BadRecord | Total


def not_utf8(error: UnicodeDecodeError, offset: int, line: int | None) -> BadRecord:
    """Bytes that are not UTF-8.

    Args:
        error: What decoding said.
        offset: Of the first byte that was decoded.
        line: As in `BadRecord`.
    """
    return BadRecord(
        offset=offset + error.start,
        line=line,
        rule="a document must be UTF-8",
        reason=f"byte 0x{error.object[error.start]:02x} ({error.reason})",
        fix="Convert the file, for example with `iconv -t UTF-8`",
    )


def corrupt(reason: str, offset: int, line: int | None) -> BadRecord:
    """Compressed data that cannot be read on."""
    return BadRecord(offset, line, "a compressed file must be whole", reason, "Make or fetch the file again")


def empty_file() -> BadRecord:
    """A file of nothing where a file is a document."""
    return BadRecord(0, None, "a document must not be empty", "a file of 0 bytes", "Remove the file")
