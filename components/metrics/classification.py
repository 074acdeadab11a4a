"""How well classes are predicted: accuracy, macro-F1, figures for each class, what is taken for what.

Labels and predictions are flat arrays of class numbers, one element an image, a text or a tagged token. Padding is not
counted because it is not passed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.metrics.bootstrap import divided


@dataclass(frozen=True)
class ClassFigures:
    """Figures of each class [classes]; NaN where there is nothing to divide by.

    Attributes:
        precision: Share of its predictions that are right.
        recall: Share of its occurrences that are found.
        f1: Harmonic mean of both: 2 right / (support + predicted).
        support: How often it occurs.
        predicted: How often it is predicted.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predicted: np.ndarray


def class_counts(
    labels: np.ndarray, predictions: np.ndarray, num_classes: int, lengths: np.ndarray | None = None
) -> np.ndarray:
    """The statistics of `accuracy` and `macro_f1`, example by example.

    Args:
        labels: True classes, integers in [0, num_classes) [items].
        predictions: Predicted classes, likewise.
        num_classes: How many classes there are.
        lengths: How many items in a row make up each example, such as the tokens of a sentence; None where an item is
            an example. Zero is allowed.

    Returns:
        For each class how often it was predicted rightly, how often it was predicted, and how often it occurs:
        int64 [examples, 3, num_classes].

    Raises:
        TypeError: Classes are not integers.
        ValueError: They are not as many, or not in range, or the lengths do not sum to their number.
    """
    labels, predictions = _checked("class_counts", labels, predictions, num_classes)
    if lengths is None:
        lengths = np.ones(len(labels), np.int64)
    if np.sum(lengths) != len(labels):
        raise ValueError(
            "class_counts: lengths must sum to the number of labels. Received: lengths that sum to "
            f"{np.sum(lengths)}, {len(labels)} labels. Pass the labels of whole examples, without padding."
        )
    example = np.repeat(np.arange(len(lengths)), lengths)
    right = labels == predictions
    cells = len(lengths) * num_classes
    counts = [
        np.bincount(example[chosen] * num_classes + classes[chosen], minlength=cells)
        for classes, chosen in ((labels, right), (predictions, slice(None)), (labels, slice(None)))
    ]
    return np.stack([count.reshape(len(lengths), num_classes) for count in counts], axis=1)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Share of right predictions, from summed `class_counts` [..., 3, classes] → [...]; NaN of none."""
    right, _, support = (counts[..., row, :].sum(axis=-1) for row in range(3))
    return divided(right, support)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean over classes of F1 = 2 right / (support + predicted), from summed `class_counts`.

    A class that occurs or is predicted, but never both rightly, counts with F1 = 0. A class that neither occurs nor is
    predicted has no F1 (0 / 0) and is left out of the mean, here and in every resample of a bootstrap.

    Args:
        counts: Summed `class_counts` [..., 3, classes].

    Returns:
        [...]; NaN where no class is left.
    """
    right, predicted, support = (counts[..., row, :] for row in range(3))
    f1 = divided(2 * right, support + predicted)
    return divided(np.nansum(f1, axis=-1), np.sum(~np.isnan(f1), axis=-1))


def confusion_matrix(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """How often each class (row) was taken for each class (column), int64 [num_classes, num_classes]."""
    labels, predictions = _checked("confusion_matrix", labels, predictions, num_classes)
    cells = np.bincount(labels * num_classes + predictions, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def class_figures(matrix: np.ndarray) -> ClassFigures:
    """Precision, recall, F1 and support of each class, from a confusion matrix."""
    right, support, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return ClassFigures(
        precision=divided(right, predicted),
        recall=divided(right, support),
        f1=divided(2 * right, support + predicted),
        support=support,
        predicted=predicted,
    )


def confused_pairs(matrix: np.ndarray, limit: int = 10) -> list[tuple[int, int, int]]:
    """The most frequent mistakes.

    Args:
        matrix: Confusion matrix [classes, classes].
        limit: How many at most.

    Returns:
        (true class, predicted class, how often), the most frequent first, equal ones in the order of the matrix.
    """
    mistakes = matrix - np.diag(np.diagonal(matrix))
    cells = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    rows, columns = np.unravel_index(cells, matrix.shape)
    pairs = ((int(row), int(column), int(mistakes[row, column])) for row, column in zip(rows, columns, strict=True))
    return [pair for pair in pairs if pair[2]]


def _checked(
    owner: str, labels: np.ndarray, predictions: np.ndarray, num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both as int64 [items], known to be classes."""
    if np.ndim(labels) != 1 or np.shape(labels) != np.shape(predictions):
        raise ValueError(
            f"{owner}: labels and predictions must be flat and as many. Received: shapes {np.shape(labels)} and "
            f"{np.shape(predictions)}. Concatenate ragged rows, without their padding."
        )
    for name, classes in (("labels", labels), ("predictions", predictions)):
        if not np.issubdtype(np.asarray(classes).dtype, np.integer):
            raise TypeError(
                f"{owner}: {name} must be integers. Received: {name} of dtype {np.asarray(classes).dtype}. Pass "
                "the number of the class, such as the argmax of its logits."
            )
        if np.size(classes) and not (np.min(classes) >= 0 and np.max(classes) < num_classes):
            raise ValueError(
                f"{owner}: {name} must be in [0, {num_classes}). Received: {name} from {np.min(classes)} to "
                f"{np.max(classes)}. Leave out what is padding, and check num_classes={num_classes!r}."
            )
    return np.asarray(labels, np.int64), np.asarray(predictions, np.int64)
