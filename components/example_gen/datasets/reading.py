"""What the parsers of data sets share: lines of text, rows of numbers, small tables and images; all checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.example_gen.blocks import CorruptFile, read_blocks
from components.example_gen.lines import BYTE_ORDER_MARK, TooLong, lines_of
from components.example_gen.parsed import BadRecord, RecordError, corrupt, not_utf8

_CORRECT = "Correct the line"


class Line(NamedTuple):
    """A line of a file.

    Attributes:
        number: From 1.
        offset: Byte of the (decompressed) file at which it starts.
        text: Without its line end.
    """

    number: int
    offset: int
    text: str

    def bad(self, error: RecordError) -> BadRecord:
        """Says that this line is what is wrong."""
        return error.at(self.offset, self.number)


def lines(path: Path) -> Iterator[Line | BadRecord]:
    """Yields the lines of a file, decompressed if it is compressed, without byte-order mark and line ends."""
    number, end = 0, 0
    try:
        for number, (offset, raw) in enumerate(lines_of(read_blocks(str(path))), 1):
            if isinstance(raw, TooLong):
                yield raw.at(offset, number)
                continue
            end = offset + len(raw)
            if not offset:
                raw = raw.removeprefix(BYTE_ORDER_MARK)
            try:
                yield Line(number, offset, raw.decode("utf-8").removesuffix("\n").removesuffix("\r"))
            except UnicodeDecodeError as error:
                yield not_utf8(error, offset, number)
    except CorruptFile as error:
        yield corrupt(str(error), end, number + 1)


def sentences(path: Path) -> Iterator[Line | BadRecord]:
    """Yields the lines of a file without blanks at their ends; one of nothing is bad."""
    for line in lines(path):
        if isinstance(line, Line):
            text = line.text.strip()
            yield line._replace(text=text) if text else line.bad(empty("a sentence"))
        else:
            yield line


def empty(what: str) -> RecordError:
    """Text that is not there."""
    return RecordError(f"{what} must not be empty", "an empty line", "Remove the line")


def table(path: Path, columns: Sequence[str], separator: str) -> Iterator[tuple[Line, Mapping[str, str]] | BadRecord]:
    """Yields the rows of a table with a header; nothing is quoted.

    Args:
        path: The file.
        columns: Names that the header must have.
        separator: Between values.
    """
    header: list[str] | None = None
    for line in lines(path):
        if isinstance(line, BadRecord):
            yield line
            if header is None:
                return  # without the header no row can be read
            continue
        values = line.text.split(separator)
        if header is None:
            header = values
            if not set(columns) <= set(header):
                needed = ", ".join(map(repr, columns))
                yield line.bad(RecordError(f"the header must have {needed}", line.text[:100], "Correct the header"))
                return
        elif len(values) != len(header):
            error = f"{len(values)} values for the {len(header)} names of the header"
            yield line.bad(RecordError("a row must be one of the table", error, _CORRECT))
        else:
            yield line, dict(zip(header, values, strict=True))


def numbers(values: Sequence[str], count: int) -> np.ndarray:
    """Numbers that are written out, float32 [count].

    Raises:
        RecordError: They are not as many, not numbers, or not finite.
    """
    if len(values) != count:
        raise RecordError(f"a row must have {count} numbers", f"{len(values)} of them", _CORRECT)
    try:
        found = np.array(values, np.float32)
    except ValueError as error:
        raise RecordError("a row must be numbers", str(error), _CORRECT) from error
    if not np.isfinite(found).all():
        raise RecordError("the numbers of a row must be finite", " ".join(values)[:100], _CORRECT)
    return found


def image(path: Path, size: int) -> np.ndarray:
    """A square image in RGB, uint8 [size, size, 3].

    Raises:
        RecordError: It is missing, broken, of another size, or not RGB.
    """
    from PIL import Image

    fix = "Make or fetch the image again"
    try:
        with Image.open(path) as opened:
            opened.load()
            mode, pixels = opened.mode, np.asarray(opened)
    except FileNotFoundError as error:
        raise RecordError("an image that is named must be there", f"no {path.name}", fix) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow's decoders raise
        raise RecordError("an image must be whole", f"{path.name}: {type(error).__name__}", fix) from error
    if mode != "RGB" or pixels.shape != (size, size, 3):
        height, width = pixels.shape[:2]
        reason = f"{path.name}: {mode} of {width} × {height}"
        raise RecordError(f"an image must be RGB of {size} × {size} pixels", reason, fix)
    return pixels
