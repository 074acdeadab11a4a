"""The verdict on a model: which thresholds it misses, each in a sentence with the numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from components.evaluator.evaluation import Figures
from components.metrics.bootstrap import Measured, Sums, difference, measure
from pipeline.config import ThresholdsConfig
from pipeline.evaluator_config import HIGHER_IS_BETTER, NEITHER_IS_BETTER, ChangeConfig, LimitConfig

# Of the slices of a dimension that miss one limit, so many are told in full.
_TOLD = 5


class Baseline(NamedTuple):
    """The last blessed model on the same data.

    Attributes:
        name: What it is called: `trainer 12`.
        figures: Of the eval split.
        incomparable: Metric → why its value does not compare; "" for all metrics, `character` for those slices.
    """

    name: str
    figures: Figures
    incomparable: Mapping[str, str]

    def why_not(self, metric: str, slice_name: str | None) -> str | None:
        """Why a figure does not compare; None if it does."""
        keys = ("", metric, (slice_name or "").partition("=")[0] or metric)
        return next((self.incomparable[key] for key in keys if key in self.incomparable), None)


class _Missed(NamedTuple):
    """A limit that is missed: by how much, to put the worst first, and what makes the sentence.

    Its interval takes a bootstrap, so it is made for those that are told.
    """

    by: float
    sentence: Callable[[], str]


def refusals(now: Figures, thresholds: ThresholdsConfig, before: Baseline | None = None) -> list[str]:
    """One sentence for each threshold that the figures of the eval split miss.

    Args:
        now: Of the model.
        thresholds: What it has to reach.
        before: The last blessed model; without one, changes are not judged.

    Raises:
        ValueError: One is on a metric that there is not: the model is of another task than the configuration's.
    """
    sentences = []
    for metric, bound in thresholds.given().items():
        if metric not in now.overall:
            raise ValueError(
                f"Evaluator: a threshold must be on a metric of the model. Received: evaluator.thresholds.{metric}. "
                "Give the model that the configuration describes."
            )
        sentences += [missed.sentence() for missed in _missed(metric, None, now.overall[metric], bound, before)]
        for key, limit in bound.slices.items():
            sentences += _in_slices(metric, key, limit, now, before)
    return sentences


def _in_slices(metric: str, key: str, limit: LimitConfig, now: Figures, before: Baseline | None) -> Iterator[str]:
    """The worst slices that a key means and that miss its limit."""
    chosen = [name for name in now.slices if name == key or ("=" not in key and name.startswith(f"{key}="))]
    if not chosen:
        yield f"eval {metric} of {key} has no example, and a threshold is on it."
    missed = [each for name in chosen for each in _missed(metric, name, now.slices[name][metric], limit, before)]
    missed.sort(key=lambda each: -each.by if not math.isnan(each.by) else -math.inf)
    yield from (each.sentence() for each in missed[:_TOLD])
    if len(missed) > _TOLD:
        yield f"eval {metric}: {len(missed) - _TOLD} more of {len(chosen)} slices by {key} miss that, too."


def _missed(
    metric: str, slice_name: str | None, now: Sums, limit: LimitConfig, before: Baseline | None
) -> Iterator[_Missed]:
    what = f"eval {metric}" + (f" of {slice_name}" if slice_name else "")
    value, sides = now.value, []
    if limit.upper is not None:
        sides.append((value - limit.upper, f"allows at most {limit.upper:g}"))
    if limit.lower is not None:
        sides.append((limit.lower - value, f"asks for at least {limit.lower:g}"))
    for by, rule in sides:
        if not by <= 0:  # rather than `> 0`: a metric that is NaN misses every bound
            yield _Missed(by, partial(_bound_sentence, what, now, rule))
    if limit.change != ChangeConfig() and before is not None:
        yield from _worse(metric, slice_name, what, now, limit.change, before)


def _bound_sentence(what: str, now: Sums, rule: str) -> str:
    interval = f" (95 % interval {_interval(measure(now.statistics, now.metric))})" if len(now.statistics) else ""
    return f"{what} is {now.value:.4f}{interval}, and the threshold {rule}."


def _worse(
    metric: str, slice_name: str | None, what: str, now: Sums, change: ChangeConfig, before: Baseline
) -> Iterator[_Missed]:
    why_not = before.why_not(metric, slice_name)
    figures = before.figures.overall if slice_name is None else before.figures.slices.get(slice_name, {})
    if why_not is None and metric not in figures:
        why_not = "it has no example there"
    if why_not is not None:
        sentence = f"{what} cannot be held against the last blessed model's, {before.name}: {why_not}."
        yield _Missed(math.inf, lambda: sentence)
        return
    then = figures[metric]
    worse = (then.value - now.value) if metric in HIGHER_IS_BETTER else (now.value - then.value)
    limits = []
    if change.absolute is not None:
        limits.append((change.absolute, f"{abs(change.absolute):.4g}"))
    if change.relative is not None:
        allowed = change.relative * abs(then.value)
        limits.append((allowed, f"{abs(change.relative):.4g} of it, {abs(allowed):.4g},"))
    for allowed, amount in limits:
        if not worse <= allowed:
            rule = f"allows {amount} at most" if allowed >= 0 else f"asks for {amount} better at least"
            yield _Missed(worse - allowed, partial(_change_sentence, what, now, then, worse, before.name, rule))


def _change_sentence(what: str, now: Sums, then: Sums, worse: float, name: str, rule: str) -> str:
    side = "better" if worse < 0 else "worse"
    return (
        f"{what} is {now.value:.4f}, {abs(worse):.4f} {side} than the {then.value:.4f} of the last "
        f"blessed model, {name}, on the same data (95 % interval of the difference "
        f"{_interval(difference(now, then))}), and the threshold {rule}."
    )


def comparison(now: Figures, before: Baseline) -> dict[str, Any]:
    """Every figure beside the last blessed model's, as JSON: metric → both, and their difference with its interval."""
    found: dict[str, Any] = {}
    for metric, sums in now.overall.items():
        if before.why_not(metric, None) is None and metric in before.figures.overall:
            then = before.figures.overall[metric]
            change = difference(sums, then)
            found[metric] = {
                "value": sums.value,
                "baseline": then.value,
                "difference": change.value,
                "interval": [change.low, change.high],
            }
    return found


def comparison_table(found: Mapping[str, Mapping[str, Any]], before: Baseline) -> str:
    """The same for people."""
    lines = [f"against the last blessed model, {before.name}, on the same eval split"]
    lines.append(f"{'':28}{'now':>12}{'before':>12}{'difference':>12}{'95% interval of the difference':>34}")
    for metric, each in found.items():
        better = "" if metric == NEITHER_IS_BETTER else _better(metric, each["difference"])
        low, high = each["interval"]
        lines.append(
            f"{metric:28}{each['value']:12.4f}{each['baseline']:12.4f}{each['difference']:+12.4f}"
            f"{f'{low:+.4f} … {high:+.4f}':>34}  {better}".rstrip()
        )
    lines += [f"{metric or 'nothing'}: {why}" for metric, why in before.incomparable.items()]
    return "\n".join(lines) + "\n"


def _better(metric: str, change: float) -> str:
    if change == 0 or math.isnan(change):
        return ""
    return "better" if (change > 0) == (metric in HIGHER_IS_BETTER) else "worse"


def _interval(found: Measured) -> str:
    return f"{found.low:.4f} … {found.high:.4f}"
