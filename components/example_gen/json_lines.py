"""JSON lines to documents: one object a line. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from components.example_gen.blocks import CorruptFile
from components.example_gen.lines import BYTE_ORDER_MARK, TooLong, lines_of
from components.example_gen.parsed import Event, Total, corrupt, not_utf8
from components.example_gen.records import RecordError, to_document
from pipeline.config import FieldsConfig


def json_lines(blocks: Iterable[bytes], fields: FieldsConfig, offset: int = 0) -> Iterator[Event]:
    """A line is a record, and its number the record's; lines of nothing but blanks are none.

    Args:
        blocks: Of the file.
        fields: Which field is what.
        offset: Byte of the file at which the blocks start.
    """
    number = 0
    try:
        for number, (start, line) in enumerate(lines_of(blocks, offset), 1):
            if isinstance(line, TooLong):
                yield line.at(start, number)
                continue
            offset = start + len(line)
            if start == 0:
                line = line.removeprefix(BYTE_ORDER_MARK)
            if not line.strip():
                continue
            try:
                yield to_document(_parse(line), fields, number, start)
            except UnicodeDecodeError as error:
                yield not_utf8(error, start, number)
            except RecordError as error:
                yield error.at(start, number)
        yield Total(number)
    except CorruptFile as error:
        yield corrupt(str(error), offset, number + 1)


def _parse(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8")
    try:
        record = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise RecordError("a line must be valid JSON", _reason(error), "Correct the line") from error
    if not isinstance(record, dict):
        raise RecordError("a line must be a JSON object", f"a {type(record).__name__}", "Correct the line")
    return record


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    # Its own text counts lines, of which this is one.
    return (
        f"{error.msg.removesuffix(' at')} at character {error.pos}"
        if isinstance(error, json.JSONDecodeError)
        else str(error)
    )
