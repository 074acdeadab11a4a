"""Surnames of 18 languages: a file a language, a name a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, sentences
from components.example_gen.parsed import Event


def parse(path: Path) -> Iterator[Event]:
    """A line is a name, both text and target; the name of the file is its label, the language."""
    for line in sentences(path):
        if isinstance(line, Line):
            name = f"{path.name}:{line.number}"
            yield document(name, line.number, line.offset, text=line.text, label=path.stem, target=line.text)
        else:
            yield line


NAMES = FileSet(
    folder="names_18_languages",
    # From name to language (text, label), and from language to name (label, target).
    features={"text": Feature("text"), "label": Feature("class"), "target": Feature("text")},
    splits={"*.txt": None},
    parse=parse,
)
