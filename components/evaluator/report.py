"""The evaluation in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluator.evaluation import Figures

_WORST = 10
_NAMES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", " ": "␣"}


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


def worst_documents(figures: Figures) -> str:
    """The documents of the eval split that a language model predicts worst, of two or more."""
    named = {name.partition("=")[2]: each for name, each in figures.slices.items() if name.startswith("document=")}
    if len(named) < 2:
        return ""
    worst = sorted(named, key=lambda name: -named[name]["bits_per_char"].value)[:_WORST]
    rows = [(name, named[name]["bits_per_char"]) for name in worst]
    lines = [f"eval: the worst of {len(named):,} documents{'':8}characters  bits_per_char"]
    for name, sums in rows:
        lines.append(f"  {name[-38:]:38} {int(sums.statistics[:, 2].sum()):12,} {sums.value:14.4f}")
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
