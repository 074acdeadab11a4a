"""The model card: what a model is, what it was made from and how well it does, for people who meet its folder alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.metrics.bootstrap import CONFIDENCE

FILE = "MODEL_CARD.md"
_UNKNOWN = "not recorded"

_GENERATED = (
    "What it writes is what its training data makes likely: it may be wrong, offensive, or a passage of that data word "
    "for word. It is not to be taken for a person's words, for facts or for advice."
)
# Task → what the model does, and where that ends.
_USE: Mapping[str, tuple[str, str]] = {
    "language_model": (
        "It continues texts, and says how likely a text is, token by token. It is meant for text of the kind it was "
        "trained on: to study what recurrent networks learn, to generate, to compare texts by their likelihood.",
        f"{_GENERATED} What is not in its vocabulary it cannot read or write. Its state may be carried for ever, but "
        "what was read long ago fades: it keeps no thread through a long text.",
    ),
    "classification": (
        "It names the class of an example, out of those it was trained on, with a probability for each.",
        "Something of no class is given one all the same, and a probability is only as good as the training data is "
        "like what it is asked. Decisions about people need more than its answer.",
    ),
    "tagging": (
        "It names a class for each timestep of an example, out of those it was trained on.",
        "Words that training did not have are one and the same to it. A probability is only as good as the training "
        "data is like what it is asked.",
    ),
    "seq2seq": (
        "It writes a text for an example: a translation, a pronunciation, an answer, whatever its pairs were.",
        f"{_GENERATED} Examples longer than those of training go through the same fixed-size context, and lose by it.",
    ),
    "captioning": (
        "It writes a text for an image or a class.",
        f"{_GENERATED} An image unlike those of training is captioned as one of them.",
    ),
    "regression_sequence": (
        "It answers a sequence of numbers with a number, or each of its rows with the next one.",
        "Outside the range and the lengths of the training data its answers are guesses, and it does not say so.",
    ),
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a card tells. An empty value is something that nobody wrote down.

    Attributes:
        name: What the model is served as.
        task: Of `model.task`.
        parameters: How many numbers were learnt.
        architecture: The arguments of its constructor.
        tokenizers: Feature → {kind, size of the vocabulary, specials, options}.
        executions: Input of the export → what its execution recorded of itself; the `execution.json` beside it.
        digests: Input of the export → digest of its folder.
        training: The trainer's `training.json`.
        splits: Split → its counts, of the manifest.
        documents: Split → digest of its documents' hashes.
        metrics: Split → figures, as the Evaluator wrote them.
        signatures: Name → inputs and outputs, each name → type, shape and default in words.
    """

    name: str
    task: str
    parameters: int
    architecture: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tokenizers: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    executions: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    splits: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    documents: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    signatures: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = dataclasses.field(default_factory=dict)

    def settings(self, artifact: str, section: str) -> Mapping[str, Any]:
        """A section of the configuration of the stage that made an input; {} if it is not known."""
        return self.executions.get(artifact, {}).get("settings", {}).get(section, {})


def model_card(facts: Facts) -> str:
    """Writes the card, Markdown."""
    use, limits = _USE[facts.task]
    title = f"# Model card: {facts.name}\n\nTask `{facts.task}`; {facts.parameters:,} parameters, float32."
    sections = {
        "Intended use": [use],
        "Limits": [limits],
        "The model": _model(facts),
        "Training": _training(facts),
        "Data": _data(facts),
        "Results": _results(facts),
        "Where it comes from": _lineage(facts),
        "Signatures": _signatures(facts),
        "Licence": _licence(facts),
    }
    return "\n\n".join([title, *("\n".join([f"## {name}", "", *lines]) for name, lines in sections.items())]) + "\n"


def _model(facts: Facts) -> list[str]:
    lines = []
    for feature, tokenizer in facts.tokenizers.items():
        values = ", ".join(f"{key} {_words(value)}" for key, value in tokenizer.items())
        lines.append(f"Tokenizer of `{feature}`: {values}.")
    if facts.task == "language_model":
        units, layers = facts.architecture["units"], facts.architecture["layers"]
        lines.append(
            f"Its only memory is its state, {layers} × {units} numbers for each text, which a client may carry from "
            "call to call: no length of context is fixed. The token `<end>` opens a text from a state of zeros."
        )
    return [*lines, "", *_table(["argument", "value"], _flat(facts.architecture))]


def _training(facts: Facts) -> list[str]:
    settings, record = facts.settings("model", "trainer"), facts.executions.get("model", {})
    optimizer = settings.get("optimizer", {}).get("name", _UNKNOWN)
    seconds = f"{record['seconds']:,.0f} s" if "seconds" in record else _UNKNOWN
    lines = [
        f"Optimizer: {optimizer}. Epochs: {settings.get('epochs', _UNKNOWN)}. Updates: "
        f"{_words(facts.training.get('steps', _UNKNOWN))}. Seed: {settings.get('seed', _UNKNOWN)}. Backend: "
        f"{record.get('environment', {}).get('backend', _UNKNOWN)}. Time: {seconds}. "
        f"Best figure on eval while training: {_words(facts.training.get('best', _UNKNOWN))}."
    ]
    sections = {name: facts.settings("model", name) for name in ("model", "trainer")}
    rows = _flat({name: values for name, values in sections.items() if values})
    return [*lines, "", *_table(["setting", "value"], rows)] if rows else lines


def _data(facts: Facts) -> list[str]:
    gen, record = facts.settings("examples", "example_gen"), facts.executions.get("examples", {})
    corpus = record.get("environment", {}).get("corpus", _UNKNOWN)
    rows = [
        [
            f"`{split}`",
            *(_words(counts[name]) for name in ("documents", "characters", "tokens", "unknown")),
            f"`{facts.documents.get(split, _UNKNOWN)}`",
        ]
        for split, counts in facts.splits.items()
    ]
    columns = ["split", "documents", "characters", "tokens", "of them unknown", "SHA-256 of the documents' hashes"]
    lines = [f"Source: `{gen.get('source', _UNKNOWN)}`. Digest of the source: `{corpus}`.", "", *_table(columns, rows)]
    prepared = _flat({"transform": facts.settings("transform_graph", "transform")})
    return [*lines, "", *_table(["preprocessing", "value"], prepared)] if prepared else lines


def _results(facts: Facts) -> list[str]:
    lines: list[str] = []
    for split, metrics in facts.metrics.items():
        baselines = metrics.get("baselines", {})
        intervals = metrics.get("intervals", {})
        rows = []
        for name, value in metrics.items():
            if isinstance(value, int | float):
                interval = " … ".join(map(_words, intervals[name])) if name in intervals else ""
                others = [_words(figures[name]) if name in figures else "" for figures in baselines.values()]
                rows.append([name, _words(value), interval, *others])
        columns = [f"`{split}`", "model", f"{CONFIDENCE:.0%} interval", *(f"baseline {name}" for name in baselines)]
        lines += [*([""] if lines else []), *_table(columns, rows)]
    return lines or [f"Metrics: {_UNKNOWN}."]


def _lineage(facts: Facts) -> list[str]:
    rows = []
    for artifact, digest in facts.digests.items():
        record = facts.executions.get(artifact)
        made = [record["stage"], str(record["id"]), f"`{record['fingerprint']}`"] if record else [_UNKNOWN] * 3
        rows.append([f"`{artifact}`", *made, f"`{digest}`"])
    return [
        "The run artifacts that it was exported from. An execution is the folder `STAGE/EXECUTION` of the run's root; "
        "its fingerprint, the lineage id, stands for code, settings and inputs, the digest for the artifact's bytes.",
        "",
        *_table(["artifact", "stage", "execution", "fingerprint", "digest"], rows),
    ]


def _signatures(facts: Facts) -> list[str]:
    rows = [
        [f"`{name}`", *("<br>".join(f"`{key}` {text}" for key, text in side.items()) for side in sides)]
        for name, sides in facts.signatures.items()
    ]
    return _table(["signature", "inputs", "outputs"], rows)


def _licence(facts: Facts) -> list[str]:
    source = facts.settings("examples", "example_gen").get("source")
    named = f"`{source}`" if source else "its source, which is not recorded here"
    return [
        "The program that trained and exported it is licensed under Apache-2.0. That says nothing about the data: the "
        f"licence of the data is that of the corpus, {named}. The weights were learnt from it, and answers may repeat "
        "it: look its licence up before you pass on either."
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Rows of dotted keys and their values, without those that are not set."""
    rows = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        elif value is not None:
            rows.append([prefix + key, _words(value)])
    return rows


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    return str(value)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [columns, ["---"] * len(columns), *rows]
    # What a source or a class is called must not end a cell.
    return ["| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in line) + " |" for line in lines]
