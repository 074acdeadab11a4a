"""The Evaluator stage: the metrics of the held-out splits, the baselines, the report and the blessing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from components.heavy_imports import import_quietly
from components.json_values import json_value
from components.resolver import BlessedModel, latest_blessed_model
from pipeline.artifacts import (
    Artifact,
    Examples,
    Model,
    ModelBlessing,
    ModelEvaluation,
    TransformedExamples,
    TransformGraph,
)
from pipeline.config import EvaluatorConfig
from pipeline.files import digest_folder
from pipeline.stage import Stage

if TYPE_CHECKING:
    from components.evaluator.evaluation import Evaluation
    from components.evaluator.verdict import Baseline
    from components.tasks.task import TaskModel

COMPARISON = "comparison.json"
_NO_BASELINE = (
    "No other model of this root has been blessed: thresholds on change are not judged, the others decide alone.\n"
)


@dataclasses.dataclass(frozen=True)
class Evaluator(Stage):
    """Measures the model on eval and test, beside baselines and the last blessed model, and blesses it or not."""

    evaluator: EvaluatorConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "examples": Examples,
        "model": Model,
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"evaluation": ModelEvaluation, "blessing": ModelBlessing}

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        """Whether another run would compare with the same model: the last blessed one but this."""
        if not self.evaluator.thresholds.has_change:
            return True
        record = json.loads((outputs["blessing"] / COMPARISON).read_text("utf-8"))
        before = latest_blessed_model(root, but=record["model"])
        return record["baseline"] == (None if before is None else before.digest)

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Keras and its backend take seconds, and `--help` must not.
        import_quietly("keras")
        from components.evaluator.samples import samples_of
        from components.evaluator.verdict import refusals
        from components.tasks.files import load

        model = load(inputs["model"])
        evaluation = self._evaluate(model, inputs)
        baseline = None
        if self.evaluator.thresholds.has_change:
            baseline = self._compare(model, evaluation, inputs, outputs["blessing"], root)
        reasons = refusals(evaluation.figures, self.evaluator.thresholds, baseline)

        folder = outputs["evaluation"]
        # What a split has nothing to measure on is NaN, which JSON has not: null.
        graph, examples = inputs["transform_graph"], inputs["transformed_examples"]
        samples = samples_of(model, graph, examples, self.evaluator.beam_width)
        contents = (
            ("metrics", evaluation.metrics, 1),
            ("documents", evaluation.documents, None),
            ("samples", samples, 1),
        )
        for name, content, indent in contents:
            _write_json(folder / f"{name}.json", content, indent)
        (folder / "report.txt").write_text(evaluation.report, encoding="utf-8")
        verdict = outputs["blessing"] / ("NOT_BLESSED" if reasons else "BLESSED")
        verdict.write_text("".join(f"{reason}\n" for reason in reasons), encoding="utf-8")

    def _evaluate(self, model: TaskModel, inputs: Mapping[str, Path]) -> Evaluation:
        from components.evaluator.examples import evaluate_examples
        from components.evaluator.language import evaluate_language
        from components.tasks.example_task import ExampleModel

        folders = inputs["transform_graph"], inputs["transformed_examples"]
        if isinstance(model, ExampleModel):
            return evaluate_examples(model, *folders, self.evaluator.beam_width)
        return evaluate_language(model, *folders, inputs["examples"], self.evaluator.show_probabilities)

    def _compare(
        self, model: TaskModel, evaluation: Evaluation, inputs: Mapping[str, Path], folder: Path, root: Path
    ) -> Baseline | None:
        """Evaluates the last blessed model on the same documents, and writes how the two compare."""
        from components.evaluator.baseline_model import evaluate_baseline
        from components.evaluator.verdict import comparison, comparison_table

        own = digest_folder(inputs["model"])
        before: BlessedModel | None = latest_blessed_model(root, but=own)
        record: dict[str, Any] = {"model": own, "baseline": None, "metrics": {}}
        baseline, text = None, _NO_BASELINE
        if before is not None:
            baseline = evaluate_baseline(before, model, inputs, self.evaluator.beam_width)
            record |= {"baseline": before.digest, "metrics": comparison(evaluation.figures, baseline)}
            text = comparison_table(record["metrics"], baseline)
        _write_json(folder / COMPARISON, record, 1)
        (folder / "comparison.txt").write_text(text, encoding="utf-8")
        return baseline


def _write_json(file: Path, content: Any, indent: int | None) -> None:
    text = json.dumps(json_value(content), indent=indent, allow_nan=False)
    file.write_text(text + "\n", encoding="utf-8")
