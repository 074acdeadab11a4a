"""A language model on the held-out splits: likelihood, baselines, and the tables of its report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from components.evaluator.baselines import trigram_nats, unigram_nats
from components.evaluator.evaluation import Evaluation
from components.evaluator.report import metrics_table, probability_table
from components.metrics.bootstrap import interval, ratio
from components.metrics.likelihood import metrics as figures
from components.tasks.language_model import LanguageModel
from components.tasks.likelihood import evaluate, probabilities, scorer
from components.trainer.backend import compile_inference
from components.transform.manifest import Manifest
from components.transform.stream import read_stream
from components.transform.tokenizers import load as load_tokenizer


def evaluate_language(model: LanguageModel, graph: Path, examples: Path, show_probabilities: int) -> Evaluation:
    """Measures the model on eval and test, and compares it with counting.

    Args:
        model: What is judged.
        graph: A `TransformGraph`.
        examples: `TransformedExamples` of it.
        show_probabilities: Steps of the eval split whose p(next token) is tabulated.
    """
    tokenizer = load_tokenizer(graph)
    manifest = Manifest.load(examples)
    splits = [name for name in ("eval", "test") if name in manifest.splits]
    streams = {name: read_stream(examples, name, tokenizer.end) for name in ["train", *splits]}
    score = compile_inference(model, scorer(model))

    metrics: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    for split in splits:
        result = evaluate(streams[split], tokenizer.end, score, model.initial_states)
        nats = {
            "unigram": unigram_nats(streams["train"], streams[split], len(tokenizer)),
            "trigram": trigram_nats(streams["train"], streams[split], len(tokenizer), tokenizer.end),
        }
        characters = manifest.splits[split].scored_characters
        # A token may be more or less than a character.
        bits = result.tokens / characters / math.log(2)
        ends = [figures(end, result.tokens, characters) for end in interval(result.passages, ratio)]
        metrics[split] = result.metrics(characters) | {
            "intervals": {name: [end[name] for end in ends] for name in ("nats", "bits_per_char", "perplexity")},
            "baselines": {
                name: {"bits_per_char": value * bits, "gain": (value - result.nats) * bits}
                for name, value in nats.items()
            },
        }
        documents[split] = [
            {"nats": float(nats), "tokens": int(tokens)}
            for nats, tokens in zip(result.nats_by_document, result.tokens_by_document, strict=True)
        ]

    report = metrics_table(metrics)
    steps = min(show_probabilities, len(streams["eval"]) - 1)
    if steps:
        shown = [tokenizer.tokens[i] for i in streams["eval"][: steps + 1]]
        p = probabilities(model, streams["eval"][:steps], tokenizer.end)
        report += "\n" + probability_table(shown[:-1], shown[1:], tokenizer.tokens, p)
    return Evaluation(metrics, documents, report)
