"""Twemoji at 32 × 32 pixels, with their names and categories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import image, table
from components.example_gen.parsed import BadRecord, Event, RecordError

_SIDE = 32


def parse(path: Path) -> Iterator[Event]:
    """A row names an image, in the folder `images` beside the table; its name is the target, its category the label."""
    for found in table(path, ("image", "name", "short_name", "category", "subcategory"), "\t"):
        if isinstance(found, BadRecord):
            yield found
            continue
        line, values = found
        try:
            for column in ("image", "name", "category"):
                if not values[column].strip():
                    raise RecordError(f"a row must have the column {column!r}", "an empty one", "Correct the row")
            yield document(
                values["image"],
                line.number,
                line.offset,
                array=image(path.with_name("images") / values["image"], _SIDE),
                label=values["category"],
                target=values["name"].strip(),
                short_name=values["short_name"],
                subcategory=values["subcategory"],
            )
        except RecordError as error:
            yield line.bad(error)


TWEMOJI = FileSet(
    folder="twemoji_32px",
    features={
        "array": Feature("array", "uint8", (_SIDE, _SIDE, 3)),
        "label": Feature("class"),
        "target": Feature("text"),
    },
    splits={"names.tsv": None},
    beside=("images/*.png",),
    parse=parse,
)
