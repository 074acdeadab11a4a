"""Which documents of eval and test have a class that train has not, so that nobody can learn it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from components.documents import Documents
from components.example_gen.assemble import StagedCorpus
from components.example_gen.splits import Part

_CLASSES = ("label", "tags")


def unseen_classes(corpus: StagedCorpus, plan: Mapping[str, Part]) -> dict[int, tuple[str, str]]:
    """Finds the documents outside train with a class that no document of train has.

    Args:
        corpus: What was staged; where it has neither labels nor tags, nothing is read.
        plan: Split name → what it takes.

    Returns:
        Number of the document → its split, and which feature has which class: `label='9'`.
    """
    features = [name for name in _CLASSES if name in corpus.job.features]
    train = plan["train"].chosen
    outside = {name: part.chosen & ~train for name, part in plan.items() if name != "train"}
    if not features or not any(chosen.any() for chosen in outside.values()):
        return {}
    known: dict[str, set[str]] = {name: set() for name in features}
    for _, fields in _fields(corpus, train):
        for feature in features:
            known[feature].update(_names(fields[feature]))
    found = {}
    for split, chosen in outside.items():
        for document, fields in _fields(corpus, chosen):
            new = (f"{f}={name!r}" for f in features for name in _names(fields[f]) if name not in known[f])
            value = next(new, None)
            if value is not None:
                found[document] = (split, value)
    return found


def _fields(corpus: StagedCorpus, chosen: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the numbers and the fields of the chosen documents: bool [documents]."""
    everything = chain.from_iterable(Documents(corpus.folder(group)).fields() for group in corpus.groups)
    for document, fields in enumerate(everything):
        if chosen[document]:
            yield document, fields


def _names(classes: str | list[str]) -> list[str]:
    return [classes] if isinstance(classes, str) else classes
