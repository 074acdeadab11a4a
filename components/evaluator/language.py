"""A language model on the held-out splits: likelihood, baselines, slices, and the tables of its report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.documents import Documents
from components.evaluator.baselines import trigram_nats, unigram_nats
from components.evaluator.evaluation import LAST_BLESSED, Evaluation, Figures
from components.evaluator.reencode import encode_stream
from components.evaluator.report import metrics_table, probability_table, worst_documents
from components.evaluator.slices import by_value, token_classes
from components.metrics.bootstrap import Sums, divided, interval
from components.progress import shown
from components.tasks.language_model import LanguageModel
from components.tasks.likelihood import Likelihood, evaluate, probabilities, scorer
from components.trainer.backend import compile_inference
from components.transform.manifest import Manifest
from components.transform.stream import read_stream
from components.transform.tokenizers import Tokenizer
from components.transform.tokenizers import load as load_tokenizer
from pipeline.evaluator_config import CHARACTER_CLASSES, length_bucket

# Characters of a passage: long enough that one hardly depends on the next.
PASSAGE = 1000


class _Read(NamedTuple):
    """What a model made of a split: the likelihood, its figures and their slices."""

    likelihood: Likelihood
    figures: Figures


def evaluate_language(
    model: LanguageModel, graph: Path, transformed: Path, examples: Path, show_probabilities: int
) -> Evaluation:
    """Measures the model on eval and test, and compares it with counting.

    Args:
        model: What is judged.
        graph: A `TransformGraph`.
        transformed: `TransformedExamples` of it.
        examples: The documents.
        show_probabilities: Steps of the eval split whose p(next token) is tabulated.
    """
    tokenizer = load_tokenizer(graph)
    documents = Documents.splits(examples)
    splits = [name for name in ("eval", "test") if name in Manifest.load(transformed).splits]
    streams = {name: read_stream(transformed, name, tokenizer.end) for name in ["train", *splits]}

    metrics: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    read: dict[str, _Read] = {}
    for split in splits:
        read[split] = _read(split, model, tokenizer, streams[split], documents[split])
        result, figures = read[split]
        nats = {
            "unigram": unigram_nats(streams["train"], streams[split], len(tokenizer)),
            "trigram": trigram_nats(streams["train"], streams[split], len(tokenizer), tokenizer.end),
        }
        characters = documents[split].characters + len(documents[split])
        # A token may be more or less than a character.
        bits = result.tokens / characters / math.log(2)
        metrics[split] = result.metrics(characters) | {
            "intervals": {name: list(interval(sums.statistics, sums.metric)) for name, sums in figures.overall.items()},
            "baselines": {
                name: {"bits_per_char": value * bits, "gain": (value - result.nats) * bits}
                for name, value in nats.items()
            },
            "slices": figures.values(but="document"),
        }
        kept[split] = [
            {"nats": float(nats), "tokens": int(tokens)}
            for nats, tokens in zip(result.nats_by_document, result.tokens_by_document, strict=True)
        ]

    report = metrics_table(metrics) + "\n" + worst_documents(read["eval"].figures)
    steps = min(show_probabilities, len(streams["eval"]) - 1)
    if steps:
        shown = [tokenizer.tokens[i] for i in streams["eval"][: steps + 1]]
        p = probabilities(model, streams["eval"][:steps], tokenizer.end)
        report += "\n" + probability_table(shown[:-1], shown[1:], tokenizer.tokens, p)
    return Evaluation(metrics, kept, report, read["eval"].figures)


def language_figures(model: LanguageModel, graph: Path, examples: Path) -> Figures:
    """Figures of the eval split by a model with a vocabulary of its own: the documents are encoded with that."""
    tokenizer, documents = load_tokenizer(graph), Documents.splits(examples)["eval"]
    return _read(LAST_BLESSED, model, tokenizer, encode_stream(examples, tokenizer), documents).figures


def _read(title: str, model: LanguageModel, tokenizer: Tokenizer, stream: np.ndarray, documents: Documents) -> _Read:
    score = compile_inference(model, scorer(model))
    total = len(stream) - 1
    with shown(f"evaluator: {title}", total, "tokens") as told:
        result = evaluate(
            stream, tokenizer.end, score, model.initial_states, on_progress=lambda share: told(round(share * total))
        )
    characters = np.diff(documents.offsets[:, 1]) + 1  # of each document, its end counted as one
    if len(characters) != len(result.tokens_by_document):
        raise ValueError(
            "Evaluator: examples and transformed_examples must be of the same documents. Received: "
            f"{len(characters)} and {len(result.tokens_by_document)} documents. Run transform again."
        )
    passages = -(-characters // PASSAGE)  # of each document, the last one shorter
    of_token, sizes = _passages(characters, result.tokens_by_document, passages)
    of_document = np.repeat(np.arange(len(characters)), passages)

    def figures(chosen: Any, weights: np.ndarray) -> dict[str, Sums]:
        totals = [
            np.bincount(of_token[chosen], each, minlength=len(sizes))
            for each in (result.nats_by_token[chosen], np.ones(len(result.nats_by_token))[chosen])
        ]
        return {name: Sums(np.stack([*totals, weights], axis=1), metric) for name, metric in METRICS.items()}

    overall = figures(slice(None), sizes.astype(np.float64))
    ids = [str(fields["id"]) for fields in documents.fields()]
    slices: dict[str, Mapping[str, Sums]] = {}
    for dimension, names in (("document", ids), ("length", [length_bucket(n - 1) for n in characters.tolist()])):
        slices |= by_value(dimension, np.asarray(names, object)[of_document], overall)
    predicted = np.delete(stream, 0)
    classes, counts = (of_id[predicted] for of_id in token_classes(tokenizer))
    for number, name in enumerate(CHARACTER_CLASSES):
        chosen = classes == number
        if chosen.any():
            weights = np.bincount(of_token[chosen], counts[chosen], minlength=len(sizes))
            slices[f"character={name}"] = figures(chosen, weights)
    return _Read(result, Figures(overall, slices))


def _passages(characters: np.ndarray, tokens: np.ndarray, passages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The passage of each token, and how many characters each passage has.

    Tokens are taken for equally long within a document: exact for characters, and near enough for a cut. So two models
    with different tokenizers have the same passages.
    """
    first = np.cumsum(passages) - passages
    place = np.arange(tokens.sum()) - np.repeat(np.cumsum(tokens) - tokens, tokens)
    character = place * np.repeat(characters, tokens) // np.repeat(tokens, tokens)
    sizes = np.full(int(passages.sum()), PASSAGE)
    sizes[np.cumsum(passages) - 1] = characters - (passages - 1) * PASSAGE
    return np.repeat(first, tokens) + character // PASSAGE, sizes


def _nats(summed: np.ndarray) -> np.ndarray:
    return divided(summed[..., 0], summed[..., 1])


def _bits_per_char(summed: np.ndarray) -> np.ndarray:
    return divided(summed[..., 0], summed[..., 2]) / math.log(2)


def _perplexity(summed: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(_nats(summed), 700.0))  # as `components.metrics.likelihood` has it


# Of statistics [..., 3]: nats, tokens, characters.
METRICS = {"nats": _nats, "bits_per_char": _bits_per_char, "perplexity": _perplexity}
