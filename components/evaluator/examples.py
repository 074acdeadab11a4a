"""A model of examples on the held-out splits: what it predicts, and how its task judges that."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.evaluator.evaluation import LAST_BLESSED, Evaluation, Figures
from components.evaluator.reencode import encode_examples
from components.evaluator.slices import by_value
from components.metrics.bootstrap import Measured
from components.progress import shown
from components.tasks.classification import Classifier
from components.tasks.example_task import ExampleModel, Judgement, Spec, Split, predictions_of
from components.tasks.generating import GeneratingModel
from components.trainer.backend import compile_inference
from components.transform.examples import Examples
from components.transform.manifest import Manifest
from pipeline.evaluator_config import length_bucket

_ROWS = 64


def evaluate_examples(model: ExampleModel, graph: Path, transformed: Path, beam_width: int = 1) -> Evaluation:
    """Measures the model on eval and test, beside the baselines of its task.

    Args:
        model: What is judged.
        graph: A `TransformGraph`.
        transformed: `TransformedExamples` of it.
        beam_width: For models that write texts: hypotheses of the search.
    """
    spec, train = Spec.read(graph), Examples(transformed, "train")
    metrics: dict[str, Any] = {}
    figures: dict[str, Figures] = {}
    report = []
    for name in ("eval", "test"):
        if name not in Manifest.load(transformed).splits:
            continue
        held_out = Examples(transformed, name)
        judged = _judged(name, model, spec, held_out, train, beam_width)
        figures[name] = _figures(model, spec, held_out, judged)
        metrics[name] = {
            **{metric: found.value for metric, found in judged.metrics.items()},
            "examples": len(held_out),
            "intervals": _intervals(judged.metrics),
            "baselines": {name: dict(figures) for name, figures in judged.baselines.items()},
            "slices": figures[name].values(),
            **judged.notes,
        }
        report.append(f"{name}: {len(held_out):,} examples\n\n{judged.report}")
    return Evaluation(metrics, {}, "\n".join(report), figures["eval"])


def example_figures(model: ExampleModel, graph: Path, examples: Path, beam_width: int) -> Figures:
    """Figures of the eval split by a model with a vocabulary of its own: the documents are encoded with that.

    Raises:
        KeyError: A document is of a class that the model does not know.
    """
    spec = Spec.read(graph)
    with tempfile.TemporaryDirectory() as folder:
        held_out = encode_examples(examples, graph, Path(folder))
        # What its own baselines reach is not asked.
        judged = _judged(LAST_BLESSED, model, spec, held_out, held_out, beam_width)
        return _figures(model, spec, held_out, judged)


def _judged(
    title: str, model: ExampleModel, spec: Spec, held_out: Examples, train: Examples, beam_width: int
) -> Judgement:
    def predict_batch(features: dict[str, Any], lengths: dict[str, Any]) -> dict[str, Any]:
        if isinstance(model, GeneratingModel):
            return model.search(features, lengths, beam_width)
        return model.predict_batch(features, lengths)

    predict, names = compile_inference(model, predict_batch), model.input_names(list(spec.features))
    predictions: dict[str, list[Any]] = {}
    done = 0
    with shown(f"evaluator: {title}", len(held_out), "examples") as told:
        for numbers, predicted in predictions_of(predict, held_out, _ROWS, names):
            for output, rows in model.kept(predicted, numbers, held_out).items():
                places = predictions.setdefault(output, [None] * len(held_out))
                for number, row in zip(numbers.tolist(), rows, strict=True):
                    places[number] = row
            done += len(numbers)
            told(done)
    return model.judge(Split(held_out, predictions), train, spec)


def _figures(model: ExampleModel, spec: Spec, held_out: Examples, judged: Judgement) -> Figures:
    overall = {name: found.sums for name, found in judged.metrics.items() if found.sums is not None}
    slices: dict[str, Any] = {}
    (read,) = model.input_names(list(spec.features))
    if spec.features[read].is_ragged:
        slices |= by_value("length", map(length_bucket, held_out.lengths(read).tolist()), overall)
    if isinstance(model, Classifier):
        names = spec.classes["label"]
        slices |= by_value("class", (names[i] for i in held_out.scalars("label").tolist()), overall)
    return Figures(overall, slices)


def _intervals(metrics: Mapping[str, Measured]) -> dict[str, list[float]]:
    """Lower and upper end of each interval."""
    return {name: [found.low, found.high] for name, found in metrics.items()}
