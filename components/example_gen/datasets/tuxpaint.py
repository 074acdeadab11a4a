"""Stamps of Tux Paint at 64 × 64 pixels, with captions in English or French."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import image, table
from components.example_gen.parsed import BadRecord, Event, RecordError

_SIDE = 64


def parse(path: Path, *, language: str) -> Iterator[Event]:
    """A row names an image, in the folder `images` beside the table; its caption in one language is the target."""
    for found in table(path, ("image", "category", language), "\t"):
        if isinstance(found, BadRecord):
            yield found
            continue
        line, values = found
        try:
            name, caption = values["image"], values[language].strip()
            if not name or not caption:
                empty = "image" if not name else language
                raise RecordError(f"a row must have the column {empty!r}", "an empty one", "Correct the row")
            yield document(
                name,
                line.number,
                line.offset,
                array=image(path.with_name("images") / name, _SIDE),
                target=caption,
                category=values["category"],
            )
        except RecordError as error:
            yield line.bad(error)


def _data_set(language: str) -> FileSet:
    return FileSet(
        folder="tuxpaint_stamps_64px",
        features={"array": Feature("array", "uint8", (_SIDE, _SIDE, 3)), "target": Feature("text")},
        splits={"captions.tsv": None},
        beside=("images/*.png",),
        parse=partial(parse, language=language),
    )


TUXPAINT = _data_set("en")
TUXPAINT_FR = _data_set("fr")
