"""The Evaluator stage: the metrics of the held-out splits, the baselines, the report and the blessing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components.json_values import json_value
from components.native_logs import import_quietly
from pipeline.artifacts import Artifact, Model, ModelBlessing, ModelEvaluation, TransformedExamples, TransformGraph
from pipeline.config import EvaluatorConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Evaluator(Stage):
    """Measures the model on eval and test, compares it with baselines, and blesses it or not."""

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
        from components.evaluator.examples import evaluate_examples
        from components.evaluator.language import evaluate_language
        from components.evaluator.report import refusals
        from components.evaluator.samples import samples_of
        from components.tasks.example_task import ExampleModel
        from components.tasks.files import load

        model, folders = load(inputs["model"]), (inputs["transform_graph"], inputs["transformed_examples"])
        if isinstance(model, ExampleModel):
            metrics, documents, report = evaluate_examples(model, *folders, self.evaluator.beam_width)
        else:
            metrics, documents, report = evaluate_language(model, *folders, self.evaluator.show_probabilities)
        reasons = refusals(metrics["eval"], self.evaluator.thresholds)

        folder = outputs["evaluation"]
        # What a split has nothing to measure on is NaN, which JSON has not: null.
        samples = samples_of(model, *folders, self.evaluator.beam_width)
        contents = (("metrics", metrics, 1), ("documents", documents, None), ("samples", samples, 1))
        for name, content, indent in contents:
            text = json.dumps(json_value(content), indent=indent, allow_nan=False)
            (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        (folder / "report.txt").write_text(report, encoding="utf-8")
        verdict = outputs["blessing"] / ("NOT_BLESSED" if reasons else "BLESSED")
        verdict.write_text("".join(f"{reason}\n" for reason in reasons), encoding="utf-8")
