"""Figures of classes and confusion matrices as text, readable with two classes and with fifty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.metrics.classification import class_figures, confused_pairs

WIDTH = 120


def class_table(matrix: np.ndarray, names: Sequence[str]) -> str:
    """A line for each class: precision, recall, F1, how often it occurs and is predicted.

    Args:
        matrix: Confusion matrix [classes, classes].
        names: Name of each class.

    Raises:
        ValueError: There are not as many names as classes.
    """
    _check_names("class_table", matrix, names)
    figures = class_figures(matrix)
    width = _width(names, "class")
    lines = [f"{'class':{width}} precision  recall      F1    support  predicted"]
    absent = 0
    for i, name in enumerate(names):
        if not figures.support[i] and not figures.predicted[i]:
            absent += 1
            continue
        shares = (figures.precision[i], figures.recall[i], figures.f1[i])
        precision, recall, f1 = ("–" if np.isnan(share) else f"{share:.3f}" for share in shares)
        lines.append(
            f"{name:{width}} {precision:>9} {recall:>7} {f1:>7} {figures.support[i]:10,} {figures.predicted[i]:10,}"
        )
    if absent:
        lines.append(f"({absent} of {len(names)} classes neither occur nor are predicted.)")
    return "\n".join(lines) + "\n"


def confusion_table(matrix: np.ndarray, names: Sequence[str], width: int = WIDTH) -> str:
    """The confusion matrix, whole where it fits into `width` characters; else what each class was taken for.

    Args:
        matrix: Confusion matrix [classes, classes].
        names: Name of each class.
        width: Longest line wanted.

    Raises:
        ValueError: There are not as many names as classes.
    """
    _check_names("confusion_table", matrix, names)
    whole = _whole(matrix, names)
    return whole if max(map(len, whole.splitlines())) <= width else _mistakes_by_class(matrix, names, width)


def confused_table(matrix: np.ndarray, names: Sequence[str], limit: int = 10) -> str:
    """The most frequent mistakes, with their share of all mistakes.

    Args:
        matrix: Confusion matrix [classes, classes].
        names: Name of each class.
        limit: How many at most.

    Raises:
        ValueError: There are not as many names as classes.
    """
    _check_names("confused_table", matrix, names)
    mistakes = int(matrix.sum() - np.trace(matrix))
    width = _width(names, "true")
    lines = [f"{'true':{width}} taken for {'':{max(width - 9, 0)}}     times  of mistakes"]
    for true, predicted, count in confused_pairs(matrix, limit):
        lines.append(f"{names[true]:{width}} {names[predicted]:{max(width, 9)}} {count:10,} {count / mistakes:12.1%}")
    return "\n".join(lines) + "\n"


def _whole(matrix: np.ndarray, names: Sequence[str]) -> str:
    """Rows are true, columns predicted classes; nothing is a dot, so that what there is can be seen."""
    first = _width(names, "true \\ predicted")
    cells = [[f"{count:,}" if count else "·" for count in row] for row in matrix.tolist()]
    widths = [max(len(name), *(len(row[i]) for row in cells)) + 1 for i, name in enumerate(names)]
    rows = [
        f"{title:{first}} " + "".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for title, row in zip(["true \\ predicted", *names], [list(names), *cells], strict=True)
    ]
    return "\n".join(rows) + "\n"


def _mistakes_by_class(matrix: np.ndarray, names: Sequence[str], width: int) -> str:
    """A line for each class that occurs: how often, how often rightly, and its most frequent mistakes."""
    first = _width(names, "true")
    lines = [f"{'true':{first}}    support   right  taken for"]
    for i, (name, row) in enumerate(zip(names, matrix.tolist(), strict=True)):
        support = sum(row)
        if not support:
            continue
        line = f"{name:{first}} {support:10,} {row[i] / support:7.1%}  "
        mistakes = sorted((j for j, count in enumerate(row) if count and j != i), key=lambda j: -row[j])
        for place, j in enumerate(mistakes):
            cell = f"{names[j]} {row[j]:,}"
            others = f"others {sum(row[left] for left in mistakes[place:]):,}"
            # Room is kept for the sum of what does not fit.
            room = 0 if j == mistakes[-1] else len("  " + others)
            if len(line) + len(cell) + room > width:
                line += others
                break
            line += cell + "  "
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def _width(names: Sequence[str], title: str) -> int:
    return max(len(title), *map(len, names))


def _check_names(owner: str, matrix: np.ndarray, names: Sequence[str]) -> None:
    if not len(names) or matrix.shape != (len(names), len(names)):
        raise ValueError(
            f"{owner}: names must be one for each class of the confusion matrix. Received: {len(names)} names, "
            f"a matrix of shape {matrix.shape}. Pass the names in the order of the class numbers."
        )
