"""Sentence polarity 1.0 (Pang and Lee 2005): sentences of film reviews, good or bad; a file a class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, sentences
from components.example_gen.parsed import Event


def parse(path: Path) -> Iterator[Event]:
    """A line is a sentence; the suffix of the file, `.pos` or `.neg`, is its label."""
    for line in sentences(path):
        if isinstance(line, Line):
            name = f"{path.name}:{line.number}"
            yield document(name, line.number, line.offset, text=line.text, label=path.suffix[1:])
        else:
            yield line


SENTENCE_POLARITY = FileSet(
    folder="sentence_polarity",
    features={"text": Feature("text"), "label": Feature("class")},
    splits={"rt-polarity.neg": None, "rt-polarity.pos": None},
    parse=parse,
)
