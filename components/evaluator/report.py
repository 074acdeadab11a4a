"""The evaluation in words and tables, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.config import ThresholdsConfig

_NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", " ": "␣"}


def refusals(metrics: Mapping[str, float], thresholds: ThresholdsConfig) -> list[str]:
    """One sentence for each threshold that the metrics of the eval split miss.

    Raises:
        ValueError: One is on a metric that there is not: the model is of another task than the configuration's.
    """
    sentences = []
    for name, bound in thresholds.given().items():
        if name not in metrics:
            raise ValueError(
                f"Evaluator: a threshold must be on a metric of the model. Received: evaluator.thresholds.{name}. Give "
                "the model that the configuration describes."
            )
        value = metrics[name]
        # `not <=` rather than `>`: a metric that is NaN misses every bound.
        if bound.upper is not None and not value <= bound.upper:
            sentences.append(f"eval {name} is {value:.4f}, and the threshold allows at most {bound.upper:g}.")
        if bound.lower is not None and not value >= bound.lower:
            sentences.append(f"eval {name} is {value:.4f}, and the threshold asks for at least {bound.lower:g}.")
    return sentences


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each split: figures, the 95 % interval of bits_per_char, what baselines reach and what is gained."""
    lines = [
        "split      tokens     nats  bits_per_char  perplexity       95% interval, bpc   unigram bpc (gain)"
        "   trigram bpc (gain)"
    ]
    for split, m in metrics.items():
        gains = [
            f"{m['baselines'][name]['bits_per_char']:11.3f} ({m['baselines'][name]['gain']:+.3f})"
            for name in ("unigram", "trigram")
        ]
        lines.append(
            f"{split:6} {m['tokens']:10,} {m['nats']:8.4f} {m['bits_per_char']:14.4f} {m['perplexity']:11.3f} "
            + "{:12.4f} … {:.4f} ".format(*m["intervals"]["bits_per_char"])
            + "  ".join(gains)
        )
    return "\n".join(lines) + "\n"


def probability_table(inputs: Sequence[str], targets: Sequence[str], tokens: Sequence[str], p: np.ndarray) -> str:
    """p(next token) at each step.

    Args:
        inputs, targets: Input and next token of each step.
        tokens: The vocabulary's tokens.
        p: Probabilities [steps, vocabulary].
    """
    shown = [_NAMES.get(token, token) for token in tokens]
    width = max(6, *(len(token) + 1 for token in shown))
    lines = ["p(next token) at each step; the right one is starred", " " * 8 + "".join(f"{t:>{width}}" for t in shown)]
    for source, target, row in zip(inputs, targets, p, strict=True):
        cells = [f"{value:.2f}{'*' if token == target else ' '}" for token, value in zip(tokens, row, strict=True)]
        lines.append(f"{_NAMES.get(source, source):>8}" + "".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines) + "\n"
