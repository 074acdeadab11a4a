"""MNIST (LeCun, Cortes and Burges 1998), 15,000 digits of it: as images, as pixels in a row, as frames of films."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.documents import Feature
from components.example_gen.blocks import CorruptFile, read_blocks
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, lines
from components.example_gen.parsed import BadRecord, Event, RecordError, corrupt

_SIDE = 28
_PIXELS = _SIDE * _SIDE
_TRAIN, _IMAGES, _LABELS = "mnist_5k_train.csv.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
# First numbers of an IDX file of bytes, of three axes and of one.
_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049
# Frames of a film: as many as fit one of these lengths, drawn anew for each.
_FEWEST_FRAMES, _MOST_FRAMES = 3, 8
_SEED = 0
_FIX = "Make or fetch the file again"


class Digit(NamedTuple):
    """An image, uint8 [28, 28, 1], what it shows, its number in the file from 1, and where it starts there."""

    image: np.ndarray
    label: str
    number: int
    offset: int


def digits(path: Path) -> Iterator[Digit | BadRecord]:
    """The images of a file: a table without a header, 784 pixels and a label a line; or IDX, with the labels beside."""
    return _table(path) if path.name == _TRAIN else _idx(path)


def _table(path: Path) -> Iterator[Digit | BadRecord]:
    rule = f"a line must be {_PIXELS} integers from 0 to 255 and a digit"
    for line in lines(path):
        if not isinstance(line, Line):
            yield line
            continue
        values = line.text.split(",")
        try:
            numbers = np.array(values, np.int64)
        except (ValueError, OverflowError) as error:
            yield line.bad(RecordError(rule, str(error)[:100], "Correct the line"))
            continue
        if len(numbers) != _PIXELS + 1 or numbers.min() < 0 or numbers.max() > 255 or numbers[-1] > 9:
            reason = f"{len(numbers)} from {numbers.min()} to {numbers.max()}, the last one {numbers[-1]}"
            yield line.bad(RecordError(rule, reason, "Correct the line"))
            continue
        yield Digit(_image(numbers[:-1]), str(numbers[-1]), line.number, line.offset)


def _idx(path: Path) -> Iterator[Digit | BadRecord]:
    try:
        images, labels = (b"".join(read_blocks(str(path.with_name(name)))) for name in (_IMAGES, _LABELS))
    except CorruptFile as error:
        yield corrupt(f"{_IMAGES} or {_LABELS}: {error}", 0, None)
        return
    magic, count, height, width = struct.unpack(">4I", images[:16].ljust(16, b"\0"))
    if (magic, height, width) != (_IMAGES_MAGIC, _SIDE, _SIDE) or len(images) != 16 + count * _PIXELS:
        reason = f"magic {magic}, {count} images of {height} × {width}, {len(images)} bytes"
        rule = f"{_IMAGES} must be IDX of bytes, {_SIDE} × {_SIDE} an image, as many as its header says"
        yield RecordError(rule, reason, _FIX).at(0, None)
        return
    magic, labelled = struct.unpack(">2I", labels[:8].ljust(8, b"\0"))
    if magic != _LABELS_MAGIC or labelled != count or len(labels) != 8 + count:
        reason = f"magic {magic}, {labelled} labels for {count} images, {len(labels)} bytes"
        yield RecordError(f"{_LABELS} must be IDX of bytes, a label an image", reason, _FIX).at(0, None)
        return
    for number, label in enumerate(labels[8:]):
        start = 16 + number * _PIXELS
        if label > 9:
            yield RecordError("a label must be a digit", f"{label} for image {number + 1}", _FIX).at(start, None)
        else:
            pixels = np.frombuffer(images, np.uint8, _PIXELS, start)
            yield Digit(_image(pixels), str(label), number + 1, start)


def _image(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.uint8).reshape(_SIDE, _SIDE, 1)


def parse(path: Path, *, shape: tuple[int, ...]) -> Iterator[Event]:
    """An image is a document, in the given shape; what it shows is its label."""
    for digit in digits(path):
        if isinstance(digit, Digit):
            name = f"{path.name}:{digit.number}"
            array = digit.image.reshape(shape)
            yield document(name, digit.number, digit.offset, array=array, label=digit.label)
        else:
            yield digit


def parse_films(path: Path) -> Iterator[Event]:
    """Films of three to eight images each, every image of the file in one of them, what each shows its tag.

    Order and lengths are drawn from a generator whose seed is fixed, so that the films are always the same; the last
    one may be shorter.
    """
    found = []
    for digit in digits(path):
        if isinstance(digit, Digit):
            found.append(digit)
        else:
            yield digit
    random = np.random.default_rng(_SEED)
    order = random.permutation(len(found)).tolist()
    number = 0
    while order:
        number += 1
        length = int(random.integers(_FEWEST_FRAMES, _MOST_FRAMES + 1))
        film, order = [found[position] for position in order[:length]], order[length:]
        array, tags = np.stack([digit.image for digit in film]), [digit.label for digit in film]
        yield document(f"{path.name}:film-{number}", number, film[0].offset, array=array, tags=tags)


def _images(shape: tuple[int, ...]) -> FileSet:
    return FileSet(
        folder="mnist_small",
        features={"array": Feature("array", "uint8", shape), "label": Feature("class")},
        splits={_TRAIN: "train", _IMAGES: "test"},
        beside=(_LABELS,),
        parse=partial(parse, shape=shape),
    )


MNIST_SMALL = _images((_SIDE, _SIDE, 1))
MNIST_PIXELS = _images((_PIXELS, 1))
MNIST_FRAMES = FileSet(
    folder="mnist_small",
    features={"array": Feature("array", "uint8", (None, _SIDE, _SIDE, 1)), "tags": Feature("classes")},
    splits={_TRAIN: "train", _IMAGES: "test"},
    beside=(_LABELS,),
    parse=parse_films,
)
