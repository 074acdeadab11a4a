"""A model of examples on the held-out splits: what it predicts, and how its task judges that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.evaluator.evaluation import Evaluation
from components.metrics.bootstrap import Measured
from components.tasks.example_task import ExampleModel, Spec, Split, predictions_of
from components.tasks.generating import GeneratingModel
from components.trainer.backend import compile_inference
from components.transform.examples import Examples
from components.transform.manifest import Manifest

_ROWS = 64


def evaluate_examples(model: ExampleModel, graph: Path, examples: Path, beam_width: int = 1) -> Evaluation:
    """Measures the model on eval and test, beside the baselines of its task.

    Args:
        model: What is judged.
        graph: A `TransformGraph`.
        examples: `TransformedExamples` of it.
        beam_width: For models that write texts: hypotheses of the search.
    """
    spec, train = Spec.read(graph), Examples(examples, "train")
    names = model.input_names(list(spec.features))

    def predict_batch(features: dict[str, Any], lengths: dict[str, Any]) -> dict[str, Any]:
        if isinstance(model, GeneratingModel):
            return model.search(features, lengths, beam_width)
        return model.predict_batch(features, lengths)

    predict = compile_inference(model, predict_batch)
    metrics: dict[str, Any] = {}
    report = []
    for name in ("eval", "test"):
        if name not in Manifest.load(examples).splits:
            continue
        held_out = Examples(examples, name)
        predictions: dict[str, list[Any]] = {}
        for numbers, predicted in predictions_of(predict, held_out, _ROWS, names):
            for output, rows in model.kept(predicted, numbers, held_out).items():
                places = predictions.setdefault(output, [None] * len(held_out))
                for number, row in zip(numbers.tolist(), rows, strict=True):
                    places[number] = row
        judged = model.judge(Split(held_out, predictions), train, spec)
        metrics[name] = {
            **{metric: found.value for metric, found in judged.metrics.items()},
            "examples": len(held_out),
            "intervals": _intervals(judged.metrics),
            "baselines": {name: dict(figures) for name, figures in judged.baselines.items()},
            **judged.notes,
        }
        report.append(f"{name}: {len(held_out):,} examples\n\n{judged.report}")
    return Evaluation(metrics, {}, "\n".join(report))


def _intervals(metrics: Mapping[str, Measured]) -> dict[str, list[float]]:
    """Lower and upper end of each interval."""
    return {name: [found.low, found.high] for name, found in metrics.items()}
