"""What classifiers and taggers are judged by: accuracy and macro-F1, and tables of who is taken for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.metrics.bootstrap import Measured, measure
from components.metrics.classification import accuracy, confusion_matrix, macro_f1
from components.metrics.report import figures_table
from components.metrics.tables import class_table, confusion_table

_METRICS = {"accuracy": accuracy, "macro_f1": macro_f1}


def class_metrics(counts: np.ndarray) -> dict[str, Measured]:
    """Accuracy and macro-F1 with their intervals, of `class_counts`."""
    return {name: measure(counts, metric) for name, metric in _METRICS.items()}


def class_values(counts: np.ndarray) -> dict[str, float]:
    """The same without intervals: of a baseline."""
    return {name: float(metric(counts.sum(axis=0))) for name, metric in _METRICS.items()}


def class_report(
    metrics: Mapping[str, Measured],
    baselines: Mapping[str, Mapping[str, float]],
    truth: np.ndarray,
    found: np.ndarray,
    names: Sequence[str],
) -> str:
    """Figures beside the baselines, a line for each class, and who is taken for whom.

    Args:
        metrics, baselines: Of a `Judgement`.
        truth, found: Classes, integers [items].
        names: Of the classes.
    """
    matrix = confusion_matrix(truth, found, len(names))
    return "\n".join([figures_table(metrics, baselines), class_table(matrix, names), confusion_table(matrix, names)])
