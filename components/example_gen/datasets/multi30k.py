"""Multi30k, task 1: English captions of photographs and their French translations, aligned line by line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, sentences
from components.example_gen.parsed import BadRecord, Event, RecordError

_FIX = "Correct both files: line n of the one is the translation of line n of the other"


def parse(path: Path) -> Iterator[Event]:
    """Line n of `X.en.gz` is a text, line n of `X.fr.gz` beside it its target."""
    french = path.with_name(path.name.replace(".en.", ".fr."))
    for text, target in zip_longest(sentences(path), sentences(french)):
        if isinstance(text, BadRecord):
            yield text
        elif text is None:
            number = target.line if isinstance(target, BadRecord) else target.number
            reason = f"line {number} of {french.name} without one in {path.name}"
            yield RecordError("each target must have a text", reason, _FIX).at(0, None)
        elif isinstance(target, Line):
            name = f"{path.name}:{text.number}"
            yield document(name, text.number, text.offset, text=text.text, target=target.text)
        else:
            reason = f"{french.name} has no such line" if target is None else f"{french.name}: {target.reason}"
            yield text.bad(RecordError("each text must have a target", reason, _FIX))


MULTI30K = FileSet(
    folder="multi30k_en_fr",
    features={"text": Feature("text"), "target": Feature("text")},
    splits={"train.en.gz": "train", "val.en.gz": "eval", "test_2016_flickr.en.gz": "test"},
    beside=("train.fr.gz", "val.fr.gz", "test_2016_flickr.fr.gz"),
    parse=parse,
)
