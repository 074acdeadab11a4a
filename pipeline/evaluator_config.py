"""The section `evaluator`, and which metrics a model of each task is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, PositiveInt

from pipeline.section import Section

_OF_TEXTS = (
    "exact_match",
    "token_accuracy",
    "error_rate",
    "mean_absolute_length_error",
    "mean_signed_length_error",
    "exact_length_rate",
    "bleu",
    "finished",
)
# Task → what `metrics.json` has of each split, and a threshold can be on.
TASK_METRICS: Mapping[str, Sequence[str]] = {
    "language_model": ("nats", "bits_per_char", "perplexity"),
    "classification": ("accuracy", "macro_f1", "nats"),
    "tagging": ("accuracy", "macro_f1", "nats"),
    "seq2seq": _OF_TEXTS,
    "captioning": _OF_TEXTS,
    "regression_sequence": ("mse", "mae"),
}
OF_WORDS = "bleu"  # the one metric of texts that only texts of words have


def metrics_of(task: str) -> Sequence[str]:
    """The metrics of a task.

    Raises:
        ValueError: They have been forgotten here.
    """
    if task not in TASK_METRICS:
        raise ValueError(
            f"evaluator.thresholds must be on metrics of the task {task}, and TASK_METRICS in "
            f"pipeline/evaluator_config.py has none of it; it has {', '.join(TASK_METRICS)}. Add the task there"
        )
    return TASK_METRICS[task]


class BoundConfig(Section):
    """The closed interval in which a metric has to lie."""

    upper: float | None = None
    lower: float | None = None


class ThresholdsConfig(Section):
    """Bounds on the metrics of the eval split; a model outside one is not blessed."""

    nats: BoundConfig = BoundConfig()
    bits_per_char: BoundConfig = BoundConfig()
    perplexity: BoundConfig = BoundConfig()
    accuracy: BoundConfig = BoundConfig()
    macro_f1: BoundConfig = BoundConfig()
    mse: BoundConfig = BoundConfig()
    mae: BoundConfig = BoundConfig()
    exact_match: BoundConfig = BoundConfig()
    token_accuracy: BoundConfig = BoundConfig()
    error_rate: BoundConfig = BoundConfig()
    bleu: BoundConfig = BoundConfig()
    mean_absolute_length_error: BoundConfig = BoundConfig()
    mean_signed_length_error: BoundConfig = BoundConfig()
    exact_length_rate: BoundConfig = BoundConfig()
    finished: BoundConfig = BoundConfig()

    def given(self) -> dict[str, BoundConfig]:
        """The bounds that there are, by the name of their metric."""
        bounds = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: bound for name, bound in bounds.items() if bound != BoundConfig()}


class EvaluatorConfig(Section):
    """What a model has to reach, and how much the report shows.

    beam_width: Hypotheses of the search that writes the texts of seq2seq and captioning; 1 is greedy.
    show_probabilities: Number of steps, from the start of the eval split, whose p(next token) the report tabulates.
    """

    thresholds: ThresholdsConfig = ThresholdsConfig()
    beam_width: PositiveInt = 1
    show_probabilities: int = Field(default=0, ge=0, le=100)
