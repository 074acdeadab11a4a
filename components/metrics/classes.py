"""Figures and tables of predicted classes: accuracy, macro-F1, a row for each class, who is taken for whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.metrics.bootstrap import measured, ratio
from components.metrics.measured import Measured

# A table of more classes is wider than a screen; then only the pairs that are confused most are listed.
_WIDEST_MATRIX = 20


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (row) was taken for each (column): int64 [classes, classes]."""
    return np.bincount(truth.astype(np.int64) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def precision_recall_f1(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class: tp / (tp + fp), tp / (tp + fn), 2 tp / (2 tp + fp + fn), with 0 for 0 / 0.

    Args:
        matrix: `confusion` [..., classes, classes].

    Returns:
        Three of float64 [..., classes].
    """
    right = np.diagonal(matrix, axis1=-2, axis2=-1).astype(np.float64)
    predicted, occurring = matrix.sum(axis=-2), matrix.sum(axis=-1)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros(part.shape), where=whole != 0)

    return share(right, predicted), share(right, occurring), share(2 * right, predicted + occurring)


def macro_f1(matrix: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur or are predicted: of [..., classes, classes], float64 [...]."""
    *_, f1 = precision_recall_f1(matrix)
    present = (matrix.sum(axis=-1) + matrix.sum(axis=-2)) > 0
    return np.asarray(np.where(present, f1, 0).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1))


def class_metrics(truth: Sequence[np.ndarray], predicted: Sequence[np.ndarray], classes: int) -> dict[str, Measured]:
    """Accuracy and macro-F1 with their intervals.

    Args:
        truth, predicted: Classes of each example: one, or one for each of its timesteps; padding is not among them.
        classes: Number of classes.
    """
    pairs = list(zip(truth, predicted, strict=True))
    right = np.array([[np.sum(true == found), np.size(true)] for true, found in pairs], np.int64).reshape(-1, 2)
    matrices = np.stack([confusion(np.atleast_1d(t), np.atleast_1d(p), classes).reshape(-1) for t, p in pairs])

    def f1(sums: np.ndarray) -> np.ndarray:
        return macro_f1(sums.reshape(-1, classes, classes))

    return {"accuracy": measured(right, ratio), "macro_f1": measured(matrices, f1)}


def class_table(matrix: np.ndarray, names: Sequence[str]) -> str:
    """A line for each class: how often it occurs, precision, recall, F1."""
    width = max(5, *map(len, names))
    lines = [f"{'class':{width}}    count  precision  recall      f1"]
    rows = zip(names, matrix.sum(axis=1), *precision_recall_f1(matrix), strict=True)
    lines += [f"{name:{width}} {n:8,} {p:10.3f} {r:7.3f} {f:7.3f}" for name, n, p, r, f in rows]
    return "\n".join(lines) + "\n"


def confusion_table(matrix: np.ndarray, names: Sequence[str], most: int = 10) -> str:
    """Who is taken for whom: the matrix if it fits a screen, else the pairs confused most often.

    Args:
        matrix: `confusion`.
        names: Of the classes.
        most: Pairs at most.
    """
    if len(names) <= _WIDEST_MATRIX:
        width = max(5, len(str(matrix.max())) + 1, *(len(name[:8]) + 1 for name in names))
        side = max(map(len, names))
        lines = ["rows: the truth; columns: the prediction", " " * side + "".join(f"{n[:8]:>{width}}" for n in names)]
        lines += [f"{n:{side}}" + "".join(f"{v:{width}}" for v in row) for n, row in zip(names, matrix, strict=True)]
        return "\n".join(lines) + "\n"
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(i), len(names)) for i in order if wrong.flat[i]]
    lines = ["confused most often"]
    lines += [f"{wrong[i, j]:8,}  {names[i]} taken for {names[j]}" for i, j in pairs]
    return "\n".join(lines) + "\n"
