"""bAbI task 1 (Weston et al. 2015): where somebody is, asked in the middle of a story; one statement decides it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, lines
from components.example_gen.parsed import Document, Event, RecordError

_TRAIN, _TEST = (f"qa1_single-supporting-fact_{split}.txt" for split in ("train", "test"))


def parse(path: Path, *, supporting_only: bool) -> Iterator[Event]:
    """A line is `NUMBER STATEMENT` or `NUMBER QUESTION<TAB>ANSWER<TAB>NUMBER`; the number 1 begins a story.

    A question is a document: the statements of its story before it, and the question, are the text, the answer is the
    target. A bad statement is missing from its story.

    Args:
        path: The file.
        supporting_only: Whether the text has the statement alone that decides the answer.
    """
    story: dict[str, str] = {}
    for line in lines(path):
        if not isinstance(line, Line):
            yield line
            continue
        number, _, rest = line.text.partition(" ")
        if number == "1":
            story = {}
        try:
            if not number.isdecimal() or not rest.strip():
                rule = "a line must be a number and a statement or a question"
                raise RecordError(rule, repr(line.text[:100]), "Correct the line")
            if "\t" in rest:
                yield _document(path, line, rest, story, supporting_only)
            else:
                story[number] = rest.strip()
        except RecordError as error:
            yield line.bad(error)


def _document(path: Path, line: Line, rest: str, story: dict[str, str], supporting_only: bool) -> Document:
    parts = [part.strip() for part in rest.split("\t")]
    if len(parts) != 3 or not all(parts):
        rule = "a question must have an answer and the number of a statement, with tabs before them"
        raise RecordError(rule, repr(rest[:100]), "Correct the line")
    question, answer, supporting = parts
    if supporting not in story:
        known = f"{supporting!r}, the story has {', '.join(story) or 'none'}"
        raise RecordError("a question must name a statement of its story", known, "Correct the line")
    statements = [story[supporting]] if supporting_only else story.values()
    name = f"{path.name}:{line.number}"
    return document(name, line.number, line.offset, text=" ".join([*statements, question]), target=answer)


def _data_set(supporting_only: bool) -> FileSet:
    return FileSet(
        folder="babi_qa1",
        features={"text": Feature("text"), "target": Feature("text")},
        splits={_TRAIN: "train", _TEST: "test"},
        parse=partial(parse, supporting_only=supporting_only),
    )


BABI_QA1 = _data_set(supporting_only=False)
BABI_QA1_SUPPORTING = _data_set(supporting_only=True)
