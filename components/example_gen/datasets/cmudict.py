"""The CMU Pronouncing Dictionary: English words and how they are pronounced; a word is a document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, lines
from components.example_gen.parsed import Event, RecordError


def parse(path: Path) -> Iterator[Event]:
    """A line is `WORD NUMBER PHONEME …`, of one pronunciation of a word; the first of a word is its target.

    The lines of a word need not follow each other, so all words are held in memory.
    """
    words: dict[str, tuple[Line, list[str]]] = {}
    for line in lines(path):
        if not isinstance(line, Line):
            yield line
            continue
        word, number, phonemes = ([*line.text.split(" ", 2), "", ""])[:3]
        if word and number.isdecimal() and "" not in phonemes.split(" "):
            words.setdefault(word, (line, []))[1].append(phonemes)
        else:
            rule = "a line must be a word, the number of its pronunciation, and phonemes, with single blanks"
            yield line.bad(RecordError(rule, repr(line.text[:100]), "Correct the line"))
    for word, (line, spoken) in words.items():
        references = list(dict.fromkeys(spoken))  # the same one may be listed twice
        yield document(word, line.number, line.offset, text=word, target=spoken[0], references=references)


CMUDICT = FileSet(
    folder="cmudict",
    features={"text": Feature("text"), "target": Feature("text")},
    splits={"cmudict.gz": None},
    parse=parse,
)
