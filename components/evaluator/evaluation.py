"""What an evaluation comes to, whatever the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Evaluation(NamedTuple):
    """Figures of the held-out splits.

    Attributes:
        metrics: Split → name → value, and `baselines` and the like.
        documents: Split → for each document or example, what is to be kept of it.
        report: Tables for people.
    """

    metrics: Mapping[str, Mapping[str, Any]]
    documents: Mapping[str, Sequence[Mapping[str, Any]]]
    report: str
