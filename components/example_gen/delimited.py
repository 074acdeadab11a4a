"""Comma- and tab-separated values to documents: a header line with the names, then one record a row. Pure."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator

from components.example_gen.blocks import CorruptFile
from components.example_gen.lines import BYTE_ORDER_MARK, TooLong, lines_of
from components.example_gen.parsed import BadRecord, Event, corrupt, not_utf8
from components.example_gen.records import LONGEST_RECORD, RecordError, to_document
from pipeline.config import FieldsConfig


def delimited(blocks: Iterable[bytes], fields: FieldsConfig, *, tabs: bool) -> Iterator[Event]:
    """Records are numbered from 1, without the header; blank lines are none.

    With commas a value may be quoted, and then hold commas, newlines and doubled quotes. With tabs nothing is quoted. A
    row that is no record costs its first line alone: what follows is read as if nothing had happened, because a quote
    that nobody closes would take the rest of the file with it.

    Args:
        blocks: Of the file.
        fields: Which field is what.
        tabs: What separates values: a tab, or else a comma.
    """
    csv.field_size_limit(LONGEST_RECORD)  # 128 KiB by default, for the whole process
    feed = _Feed(blocks)
    reader = csv.reader(feed, _Tabs if tabs else _Commas)
    header: list[str] | None = None
    number = 0
    while True:
        feed.begin()
        number += header is not None
        try:
            row = next(reader, None)
            if row is None:
                break
            if not row:
                number -= header is not None
                continue
            if feed.not_utf8 is not None:
                yield feed.not_utf8
            elif header is None:
                header = _checked_header(row, fields)
            else:
                yield to_document(_record(header, row), fields, number, feed.offset)
        except CorruptFile as error:
            yield corrupt(str(error), feed.offset, feed.line)
            return
        except (csv.Error, TooLong) as error:
            feed.give_back()
            fix = "Correct it: a value with a comma, a quote or a newline needs quotes around it"
            yield RecordError("a row must be one of the table", str(error), fix).at(feed.offset, feed.line)
        except RecordError as error:
            yield error.at(feed.offset, feed.line)
        if header is None:
            return
    if header is None:
        yield BadRecord(0, 1, "a file must begin with a line of names", "an empty file", "Remove it")


def _record(header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise csv.Error(f"{len(row)} values for the {len(header)} names of the header")
    return dict(zip(header, row, strict=True))


def _checked_header(row: list[str], fields: FieldsConfig) -> list[str]:
    names = ", ".join(map(repr, row))
    for name in fields.names:
        if name not in row:
            fix = "Name another field in example_gen.fields"
            raise RecordError(f"the header must have the field {name!r}", f"only {names}", fix)
    if len(set(row)) < len(row):
        raise RecordError("the header must not have a name twice", names, "Rename a column")
    return row


class _Commas(csv.excel):
    strict = True


class _Tabs(_Commas):
    delimiter = "\t"
    quoting = csv.QUOTE_NONE


class _Feed:
    """Lines for a CSV reader, of which it can give back those that were no part of a record after all.

    Attributes:
        offset: Byte of the file at which the record starts.
        line: Number of the line at which it starts.
        not_utf8: What is wrong with the record if a line of it is not UTF-8.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._lines = lines_of(blocks)
        self._given_back: deque[tuple[int, bytes | TooLong]] = deque()
        self._record: list[tuple[int, bytes | TooLong]] = []
        self.offset, self.line = 0, 1
        self.not_utf8: BadRecord | None = None

    def begin(self) -> None:
        """Starts a record at the next line."""
        for start, line in self._record:
            self.offset = start + (0 if isinstance(line, TooLong) else len(line))
        self.line += len(self._record)
        self._record = []
        self.not_utf8 = None

    def give_back(self) -> None:
        """Keeps the first line of the record; the others will be read again."""
        self._given_back.extendleft(reversed(self._record[1:]))
        del self._record[1:]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        start, line = self._given_back.popleft() if self._given_back else next(self._lines)
        if not self._record:
            self.offset = start
        self._record.append((start, line))
        if isinstance(line, TooLong) or start + len(line) - self.offset > LONGEST_RECORD:
            raise TooLong
        if start == 0:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            self.not_utf8 = self.not_utf8 or not_utf8(error, start, self.line + len(self._record) - 1)
            return line.decode("utf-8", "replace")
