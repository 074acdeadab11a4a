"""Two tiny models and their SavedModels, exported once for all tests of a session."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from components.exporter.stage import Exporter
from components.tasks import language_model
from components.tasks.language_model import LanguageModel
from components.transform.vocabulary import Vocabulary
from tests.testing import random_model

UNITS = 7
# `<end>` is not id 0, and the characters take one to four bytes in UTF-8.
FULL = Vocabulary(("unk", "end", "pad"), "\n abcé→🙂")
END_ONLY = Vocabulary(("end",), "ehlo")


@dataclass(frozen=True)
class Exported:
    """A model, where it is saved, and its SavedModel."""

    model: LanguageModel
    vocabulary: Vocabulary
    folder: Path

    @property
    def saved_model(self) -> Path:
        return self.folder / "exported_model"


def full(base: Path) -> Exported:
    """Random weights with most of the probability on `<unk>` and `<pad>`, and a fair share on `<end>`."""
    return _export(base / "full", FULL, {"<unk>": 2.5, "<pad>": 2.5, "<end>": 0.0})


def end_only(base: Path) -> Exported:
    """A vocabulary of `<end>` and four characters."""
    return _export(base / "end_only", END_ONLY, {"<end>": -1.0})


@functools.cache
def _cached(folder: Path, vocabulary: Vocabulary, bias: tuple[tuple[str, float], ...]) -> Exported:
    model = random_model(len(vocabulary), UNITS, layers=2, scale=0.7)
    weights = model.get_weights()
    for token, value in bias:
        weights[-1][vocabulary.tokens.index(token)] = value
    model.set_weights(weights)

    exported = Exported(model, vocabulary, folder)
    exported.saved_model.mkdir(parents=True)
    language_model.save(model, folder)
    vocabulary.save(folder)
    inputs = {"model": folder, "transform_graph": folder}
    Exporter().run(inputs, {"exported_model": exported.saved_model}, folder)
    return exported


def _export(folder: Path, vocabulary: Vocabulary, bias: dict[str, float]) -> Exported:
    return _cached(folder, vocabulary, tuple(bias.items()))
