"""Sentences that say a year in many places: "I went to Nepal in 2009", "In 2009, I went to Nepal".

After the example of Goodfellow, Bengio and Courville (2016), Deep Learning, chapter 10: one network must find the year
wherever it stands, also where, and in sentences as long as, training has shown it none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.documents import Feature
from components.example_gen.datasets.interface import GeneratedSet, Options, document
from components.example_gen.parsed import Document
from components.example_gen.split_names import SPLITS

YEARS = [str(year) for year in range(2000, 2020)]
# Words in train and eval are at most so many, so the year is among the first so many; in test it comes after them.
LONGEST = 12
_SUBJECTS = ("I", "we", "they", "my sister", "the whole family", "two friends")
_VERBS = ("went to", "travelled to", "moved to", "came back from", "wrote home from", "saw")
_PLACES = ("Nepal", "Peru", "Iceland", "New Zealand", "Kenya", "Japan", "Portugal", "Sri Lanka", "Canada", "Morocco")
_OPENINGS = (
    "as you know ,",
    "to tell the truth ,",
    "after a long winter ,",
    "if I remember rightly ,",
    "against all advice ,",
    "with little money ,",
)
_ENDINGS = ("by train", "for two weeks", "with a camera", "in the rain", "for the first time")


def make(split: str, number: int, options: Options) -> Document:
    """A sentence; its label is the year. Each document has a generator of its own.

    Train and eval have at most one opening and one ending, and `LONGEST` words; test has two to four openings, so that
    the year stands behind the first `LONGEST` words. All words of test are words of train.
    """
    random = np.random.default_rng([options["seed"], SPLITS.index(split), number])
    year = YEARS[random.integers(len(YEARS))]
    while True:  # until a sentence is as long as the split's have to be
        words = _sentence(random, year, long=split == "test")
        position = words.index(year)
        if position >= LONGEST if split == "test" else len(words) <= LONGEST:
            break
    return document(f"{split}:{number + 1}", number + 1, 0, text=" ".join(words), label=year)


def _sentence(random: np.random.Generator, year: str, *, long: bool) -> list[str]:
    openings = _some(random, _OPENINGS, random.integers(2, 5) if long else random.integers(0, 2))
    endings = _some(random, _ENDINGS, random.integers(0, 3) if long else random.integers(0, 2))
    subject, verb, place = (words[random.integers(len(words))] for words in (_SUBJECTS, _VERBS, _PLACES))
    said = f"{subject} {verb} {place}"
    when = f"in {year}"
    template = random.integers(3)
    if template == 0:
        parts = [*openings, f"{when} ,", said, *endings]
    elif template == 1:
        parts = [*openings, said, when, *endings]
    else:
        parts = [*openings, said, *endings, when]
    return [*" ".join(parts).split(" "), "."]


def _some(random: np.random.Generator, phrases: Sequence[str], count: int | np.integer) -> list[str]:
    return [phrases[position] for position in random.permutation(len(phrases))[:count]]


def features(options: Options) -> Mapping[str, Feature]:
    """A sentence, and the year in it."""
    return {"text": Feature("text"), "label": Feature("class")}


ORDER = GeneratedSet(
    defaults={"count": 20_000, "seed": 0},
    least={"count": 1, "seed": 0},
    features_of=features,
    make=make,
)
