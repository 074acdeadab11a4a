"""The Evaluator stage: the likelihood of the held-out splits, the baselines, the report and the blessing."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.native_logs import import_quietly
from pipeline.artifacts import Artifact, Model, ModelBlessing, ModelEvaluation, TransformedExamples, TransformGraph
from pipeline.config import EvaluatorConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Evaluator(Stage):
    """Measures the model on eval and test, compares it with counting, and blesses it or not."""

    evaluator: EvaluatorConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "model": Model,
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"evaluation": ModelEvaluation, "blessing": ModelBlessing}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Keras and its backend take seconds, and `--help` must not.
        import_quietly("keras")
        from components.evaluator.baselines import trigram_nats, unigram_nats
        from components.evaluator.report import metrics_table, probability_table, refusals
        from components.tasks.language_model import load
        from components.tasks.likelihood import evaluate, probabilities, scorer
        from components.trainer.backend import compile_inference
        from components.transform.manifest import Manifest
        from components.transform.stream import read_stream
        from components.transform.tokenizers import load as load_tokenizer

        tokenizer = load_tokenizer(inputs["transform_graph"])
        lanes = inputs["transformed_examples"]
        manifest = Manifest.load(lanes)
        splits = [name for name in ("eval", "test") if name in manifest.splits]
        streams = {name: read_stream(lanes, name, tokenizer.end) for name in ["train", *splits]}
        model = load(inputs["model"])
        score = compile_inference(model, scorer(model))

        metrics: dict[str, Any] = {}
        documents: dict[str, Any] = {}
        for split in splits:
            result = evaluate(streams[split], tokenizer.end, score, model.initial_states)
            nats = {
                "unigram": unigram_nats(streams["train"], streams[split], len(tokenizer)),
                "trigram": trigram_nats(streams["train"], streams[split], len(tokenizer), tokenizer.end),
            }
            # A token may be more or less than a character.
            bits = result.tokens / manifest.splits[split].scored_characters / math.log(2)
            metrics[split] = result.metrics(manifest.splits[split].scored_characters) | {
                "baselines": {
                    name: {"bits_per_char": value * bits, "gain": (value - result.nats) * bits}
                    for name, value in nats.items()
                }
            }
            documents[split] = [
                {"nats": float(nats), "tokens": int(tokens)}
                for nats, tokens in zip(result.nats_by_document, result.tokens_by_document, strict=True)
            ]

        report = metrics_table(metrics)
        steps = min(self.evaluator.show_probabilities, len(streams["eval"]) - 1)
        if steps:
            shown = [tokenizer.tokens[i] for i in streams["eval"][: steps + 1]]
            p = probabilities(model, streams["eval"][:steps], tokenizer.end)
            report += "\n" + probability_table(shown[:-1], shown[1:], tokenizer.tokens, p)
        reasons = refusals(metrics["eval"], self.evaluator.thresholds)
        report += "\nblessed\n" if not reasons else "\nNOT blessed: " + " ".join(reasons) + "\n"

        folder = outputs["evaluation"]
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        (folder / "documents.json").write_text(json.dumps(documents) + "\n", encoding="utf-8")
        (folder / "report.txt").write_text(report, encoding="utf-8")
        verdict = outputs["blessing"] / ("NOT_BLESSED" if reasons else "BLESSED")
        verdict.write_text("".join(f"{reason}\n" for reason in reasons), encoding="utf-8")
