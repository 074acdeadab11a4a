"""Universal Dependencies' English Web Treebank: the part of speech of each word; CoNLL-U."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, lines
from components.example_gen.parsed import Document, Event, RecordError

_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
_COLUMNS = 10
_NOT_KNOWN = "_"


def parse(path: Path) -> Iterator[Event]:
    """A sentence ends with an empty line; its words with blanks between them are the text, column UPOS its tags.

    Blanks inside a word become no-break spaces. Ranges (`3-4`) and words that were left out (`5.1`) are no words here.
    A bad line costs its sentence.
    """
    first: Line | None = None
    words, tags, bad = list[str](), list[str](), False
    for line in lines(path):
        if isinstance(line, Line) and not line.text.strip():
            if first is not None and not bad:
                yield from _sentence(path, first, words, tags)
            first, words, tags, bad = None, [], [], False
            continue
        if not isinstance(line, Line):
            yield line
            bad = True
            continue
        first = first or line
        if line.text.startswith("#"):
            continue
        try:
            word = _word(line.text)
        except RecordError as error:
            yield line.bad(error)
            bad = True
            continue
        if word is not None:
            words.append(word[0])
            tags.append(word[1])
    if first is not None and not bad:
        yield from _sentence(path, first, words, tags)


def _word(text: str) -> tuple[str, str] | None:
    columns = text.split("\t")
    if len(columns) != _COLUMNS or not columns[0]:
        reason = f"{len(columns)} columns: {text[:60]!r}"
        raise RecordError(f"a word must be a line of {_COLUMNS} columns with tabs between them", reason, _FIX)
    number, word, tag = columns[0], columns[1].strip(), columns[3].strip()
    if "-" in number or "." in number:
        return None
    if not number.isdecimal():
        raise RecordError("a word must have a number", repr(number), _FIX)
    if not word or tag in ("", _NOT_KNOWN):
        raise RecordError("a word must have a form and a part of speech", repr(text[:60]), _FIX)
    return _NO_BREAK_SPACE.join(word.split()), tag


_FIX = "Correct the line"


def _sentence(path: Path, line: Line, words: list[str], tags: list[str]) -> Iterator[Event]:
    if words:
        yield _document(path, line, words, tags)
    else:
        yield line.bad(RecordError("a sentence must have a word", "none", "Remove the sentence"))


def _document(path: Path, line: Line, words: list[str], tags: list[str]) -> Document:
    return document(f"{path.name}:{line.number}", line.number, line.offset, text=" ".join(words), tags=tags)


UD_ENGLISH_EWT = FileSet(
    folder="ud_english_ewt",
    features={"text": Feature("text"), "tags": Feature("classes")},
    splits={
        "en_ewt-ud-train.conllu.gz": "train",
        "en_ewt-ud-dev.conllu.gz": "eval",
        "en_ewt-ud-test.conllu.gz": "test",
    },
    parse=parse,
)
