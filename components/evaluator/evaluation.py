"""What an evaluation comes to, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from components.metrics.bootstrap import Sums

LAST_BLESSED = "last blessed"  # what progress calls its pass


class Figures(NamedTuple):
    """What thresholds are on: figures of the eval split and of its slices.

    Attributes:
        overall: Metric → figure.
        slices: `DIMENSION=VALUE` → metric → figure.
    """

    overall: Mapping[str, Sums]
    slices: Mapping[str, Mapping[str, Sums]]

    def values(self, but: str = "") -> dict[str, dict[str, float]]:
        """The slices as numbers, those of one dimension left out."""
        chosen = {name: each for name, each in self.slices.items() if name.partition("=")[0] != but}
        return {name: {metric: sums.value for metric, sums in each.items()} for name, each in chosen.items()}


class Evaluation(NamedTuple):
    """Figures of the held-out splits.

    Attributes:
        metrics: Split → name → value, and `baselines` and the like.
        documents: Split → for each document or example, what is to be kept of it.
        report: Tables for people.
        figures: Of the eval split.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    documents: Mapping[str, Sequence[Mapping[str, Any]]]
    report: str
    figures: Figures
