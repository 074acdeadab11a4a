"""Japanese Vowels (Kudo, Toyama and Shimbo 1999): nine men say /ae/; who it is, from cepstrum coefficients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from components.documents import Feature
from components.example_gen.datasets.interface import FileSet, document
from components.example_gen.datasets.reading import Line, lines, numbers
from components.example_gen.parsed import Event, RecordError

_COEFFICIENTS = 12
# The file says nobody's name: sequences lie in the order of the speakers, so many of each.
_SEQUENCES = {"ae.train": [30] * 9, "ae.test": [31, 35, 88, 44, 29, 24, 40, 50, 29]}
_FIX = "Fetch the file again: the label of a sequence is known from its place alone"


def parse(path: Path) -> Iterator[Event]:
    """A line is 12 numbers, of one timestep; twelve ones end a sequence. Labels are "1" to "9".

    A bad line costs its sequence, which still counts as one.
    """
    labels = [str(speaker) for speaker, count in enumerate(_SEQUENCES[path.name], 1) for _ in range(count)]
    rows, bad, sequence = list[np.ndarray](), False, 0
    first = line = Line(1, 0, "")
    for found in lines(path):
        if not isinstance(found, Line):
            yield found
            bad = True
            continue
        line = found
        if not line.text.strip():
            continue
        try:
            row = numbers(line.text.split(), _COEFFICIENTS)
        except RecordError as error:
            yield line.bad(error)
            bad = True
            continue
        if not np.all(row == 1):
            first = first if rows else line
            rows.append(row)
            continue
        sequence += 1
        if sequence > len(labels):
            yield line.bad(RecordError(f"{path.name} must have {len(labels)} sequences", "more", _FIX))
        elif not bad and not rows:
            yield line.bad(RecordError("a sequence must have a timestep", "none", "Remove the line"))
        elif not bad:
            name, label = f"{path.name}:{sequence}", labels[sequence - 1]
            yield document(name, sequence, first.offset, array=np.stack(rows), label=label)
        rows, bad = [], False
    if rows or sequence < len(labels):
        reason = f"{sequence} that are whole" + (", and one without its end" if rows else "")
        yield line.bad(RecordError(f"{path.name} must have {len(labels)} sequences", reason, _FIX))


JAPANESE_VOWELS = FileSet(
    folder="japanese_vowels",
    features={"array": Feature("array", "float32", (None, _COEFFICIENTS)), "label": Feature("class")},
    splits={"ae.train": "train", "ae.test": "test"},
    parse=parse,
)
