"""The section `evaluator`: metrics and slices of each task, and what a model has to reach in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pydantic
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
HIGHER_IS_BETTER = ("accuracy", "macro_f1", "exact_match", "token_accuracy", "exact_length_rate", "bleu", "finished")
NEITHER_IS_BETTER = "mean_signed_length_error"  # 0 is best
# Task → what its examples are sliced by; all others by length alone.
TASK_SLICES: Mapping[str, Sequence[str]] = {
    "language_model": ("document", "length", "character"),
    "classification": ("class", "length"),
}
# What a predicted character is; of a longer token, its first character that is no whitespace.
CHARACTER_CLASSES = ("letters", "digits", "punctuation", "whitespace", "other", "unknown", "end")
_STEPS = (1, 2, 5)  # from bucket to bucket of lengths


def length_bucket(length: int) -> str:
    """Name of the bucket of a length: 0-9, 10-19, 20-49, 50-99, 100-199, …; the same for every split."""
    low, high = 0, 10
    while length >= high:
        low = high
        digit, power = int(str(low)[0]), 10 ** (len(str(low)) - 1)
        high = power * (10 if digit == 5 else _STEPS[_STEPS.index(digit) + 1])
    return f"{low}-{high - 1}"


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


class ChangeConfig(Section):
    """How much worse a metric may be than the last blessed model's on the same data; below 0, how much better it has
    to be.

    absolute: In the metric's units.
    relative: As a share of the last blessed model's value. With both, both have to hold.
    """

    absolute: float | None = None
    relative: float | None = None


class LimitConfig(Section):
    """The closed interval in which a metric has to lie, and what it may have lost."""

    upper: float | None = None
    lower: float | None = None
    change: ChangeConfig = ChangeConfig()

    @pydantic.model_validator(mode="after")
    def _can_be_met(self) -> LimitConfig:
        if self.upper is not None and self.lower is not None and self.upper < self.lower:
            raise ValueError(f"upper must be at least lower, {self.lower:g}; received {self.upper:g}")
        return self


class BoundConfig(LimitConfig):
    """The same, and limits in slices.

    slices: `DIMENSION` (each of its slices) or `DIMENSION=VALUE` → the limits there; dimensions are document, length
        and character of a language model, class and length of a classifier, length of the others.
    """

    slices: dict[str, LimitConfig] = Field(default_factory=dict)

    @property
    def has_change(self) -> bool:
        """Whether it needs the last blessed model."""
        return any(limit.change != ChangeConfig() for limit in (self, *self.slices.values()))


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

    @property
    def has_change(self) -> bool:
        """Whether a model is held against the last blessed one."""
        return any(bound.has_change for bound in self.given().values())

    def check(self, task: str, known: Sequence[str]) -> None:
        """Checks that a model of the task has the metrics and the slices.

        Raises:
            ValueError: It has not.
        """
        dimensions = TASK_SLICES.get(task, ("length",))
        for name, bound in self.given().items():
            if name not in known:
                raise ValueError(
                    f"evaluator.thresholds.{name} must be on a metric of the task {task}: {', '.join(known)}. Leave it "
                    "out"
                )
            for key in bound.slices:
                dimension, equals, value = key.partition("=")
                if dimension not in dimensions:
                    raise ValueError(
                        f"evaluator.thresholds.{name}.slices must be by what the task {task} is sliced by, "
                        f"{' or '.join(dimensions)}, alone or with =VALUE; received {key!r}"
                    )
                if dimension == "character" and equals and value not in CHARACTER_CLASSES:
                    raise ValueError(
                        f"evaluator.thresholds.{name}.slices: characters are {', '.join(CHARACTER_CLASSES)}; received "
                        f"{key!r}"
                    )
                first = re.match(r"\d{1,18}", value)
                if dimension == "length" and equals and (first is None or value != length_bucket(int(first[0]))):
                    raise ValueError(
                        f"evaluator.thresholds.{name}.slices: lengths are 0-9, 10-19, 20-49, 50-99, 100-199, …; "
                        f"received {key!r}"
                    )

    @pydantic.model_validator(mode="after")
    def _has_a_direction(self) -> ThresholdsConfig:
        if getattr(self, NEITHER_IS_BETTER).has_change:
            raise ValueError(
                f"{NEITHER_IS_BETTER} is best at 0, so it has no direction of change. Put the threshold on "
                "mean_absolute_length_error"
            )
        return self


class EvaluatorConfig(Section):
    """What a model has to reach, and how much the report shows.

    beam_width: Hypotheses of the search that writes the texts of seq2seq and captioning; 1 is greedy.
    show_probabilities: Number of steps, from the start of the eval split, whose p(next token) the report tabulates.
    """

    thresholds: ThresholdsConfig = ThresholdsConfig()
    beam_width: PositiveInt = 1
    show_probabilities: int = Field(default=0, ge=0, le=100)
