"""Tiny models and their SavedModels, exported once for all tests of a session."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.exporter.stage import Exporter
from components.infra_validator.stage import InfraValidator
from components.tasks import files
from components.tasks.language_model import LanguageModel
from components.transform.text_options import TextOptions
from components.transform.tokenizers import (
    IDENTITY,
    BpeTokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
)
from pipeline.config import InfraValidatorConfig, PipelineConfig
from tests.testing import random_model

UNITS = 7
# `<end>` is not id 0, and the characters take one to four bytes in UTF-8.
FULL = CharTokenizer(("unk", "end", "pad"), IDENTITY, "\n abcé→🙂")
END_ONLY = CharTokenizer(("end",), IDENTITY, "ehlo")


SPECIALS = ("unk", "end", "pad")
OF_EACH_KIND: dict[str, Tokenizer] = {
    "char, NFKC, lower case": CharTokenizer(SPECIALS, TextOptions("NFKC", lowercase=True), "\n abcé→🙂"),
    "byte": ByteTokenizer(SPECIALS, IDENTITY),
    "byte, NFC": ByteTokenizer(SPECIALS, TextOptions("NFC", lowercase=False)),
    "word": WordTokenizer(SPECIALS, IDENTITY, ("a", "\n", "bé", "c\u00a0c", "🙂")),
    "bpe": BpeTokenizer(SPECIALS, IDENTITY, ((0x61, 0x62), (0x20, 256), (0xC3, 0xA9), (257, 0x63))),
}


@dataclass(frozen=True)
class Exported:
    """A model, where it is saved, and its SavedModel."""

    model: LanguageModel
    tokenizer: Tokenizer
    folder: Path

    @property
    def saved_model(self) -> Path:
        return self.folder / "exported_model"


def export(model: Path, graph: Path, saved_model: Path) -> None:
    """Runs the stage on a model and a transform graph; of the other artifacts nothing is there: the card says so."""
    saved_model.mkdir(parents=True, exist_ok=True)
    inputs = {**dict.fromkeys(Exporter.inputs, model), "transform_graph": graph}
    Exporter(PipelineConfig(name="tiny")).run(inputs, {"exported_model": saved_model}, model)


def infra_verdict(model: Path, graph: Path, saved_model: Path, folder: Path) -> list[str]:
    """Runs the InfraValidator on what was exported, without servers, into an empty folder; returns why it refuses."""
    inputs = {"model": model, "transform_graph": graph, "exported_model": saved_model}
    InfraValidator(InfraValidatorConfig(servers=False)).run(inputs, {"infra_blessing": folder}, folder)
    (verdict,) = folder.glob("INFRA_*")
    return verdict.read_text("utf-8").splitlines() + ["refused"] * (verdict.name != "INFRA_BLESSED")


def full(base: Path) -> Exported:
    """Random weights with most of the probability on `<unk>` and `<pad>`, and a fair share on `<end>`."""
    return _export(base / "full", FULL, {"<unk>": 2.5, "<pad>": 2.5, "<end>": 0.0})


def end_only(base: Path) -> Exported:
    """A vocabulary of `<end>` and four characters."""
    return _export(base / "end_only", END_ONLY, {"<end>": -1.0})


def all_options(base: Path) -> Exported:
    """With a tied table, skip connections, and what only training uses."""
    bias = {"<unk>": -3.0, "<pad>": -3.0, "<end>": 0.0}
    options = {
        "embedding": UNITS,
        "tied": True,
        "skip_connections": True,
        "input_dropout": 0.3,
        "recurrent_dropout": 0.4,
        "output_dropout": 0.2,
    }
    return _export(base / "all_options", FULL, bias, **options)


def of_kind(base: Path, name: str) -> Exported:
    """One of `OF_EACH_KIND`."""
    return _export(base / name.replace(",", "").replace(" ", "_"), OF_EACH_KIND[name], {"<end>": -2.0})


@functools.cache
def _cached(
    folder: Path, tokenizer: Tokenizer, bias: tuple[tuple[str, float], ...], options: tuple[tuple[str, Any], ...]
) -> Exported:
    model = random_model(len(tokenizer), UNITS, layers=2, scale=0.7, **dict(options))
    weights = model.get_weights()
    for token, value in bias:
        weights[-1][tokenizer.tokens.index(token)] = value
    model.set_weights(weights)

    exported = Exported(model, tokenizer, folder)
    folder.mkdir(parents=True)
    files.save(model, folder)
    tokenizer.save(folder)
    export(folder, folder, exported.saved_model)
    return exported


def _export(folder: Path, tokenizer: Tokenizer, bias: dict[str, float], **options: Any) -> Exported:
    return _cached(folder, tokenizer, tuple(bias.items()), tuple(options.items()))
