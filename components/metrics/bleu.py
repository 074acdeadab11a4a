"""BLEU of a corpus, counted by sacreBLEU sentence by sentence, so that it can be resampled without the texts.

    BLEU = 100 · min(1, e^(1 - r / g)) · (p_1 p_2 p_3 p_4)^(1/4)

g tokens were generated, r are those of the references closest in length, p_n is the share of generated n-grams that a
reference has. Where an order has no match, its p_n is 1 / (2^k times its n-grams), k = 1 for the first such order, 2
for the next (sacreBLEU's smoothing `exp`).

Source: Papineni, Roukos, Ward and Zhu (2002), "BLEU: a Method for Automatic Evaluation of Machine Translation"; Post
(2018), "A Call for Clarity in Reporting BLEU Scores"; Chen and Cherry (2014), "A Systematic Comparison of Smoothing
Techniques for Sentence-Level BLEU", method 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from components.metrics.sequences import check_references

ORDERS = 4


def bleu_counts(generated: Sequence[str], references: Sequence[Sequence[str]], tokenize: str = "13a") -> np.ndarray:
    """The statistics of BLEU: counts of n-grams.

    Args:
        generated: Text generated for each example.
        references: All accepted texts of each example; the examples may differ in their number.
        tokenize: sacreBLEU's tokenizer: `13a` for text as it is written, `none` for text that is already split by
            spaces, `zh` for Chinese, `char` for characters.

    Returns:
        For each example generated tokens, tokens of the reference closest in length, matched n-grams of orders 1 to 4,
        generated n-grams of orders 1 to 4: int64 [examples, 10].

    Raises:
        TypeError: What was generated, or a reference, is not text.
        ValueError: They are not as many, or there are none, or the tokenizer is unknown.
    """
    from sacrebleu.metrics.bleu import BLEU

    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(
            f"bleu_counts: tokenize must be one of {', '.join(sorted(BLEU.TOKENIZERS))}. Received: "
            f"tokenize={tokenize!r}. Use 'none' for text that is already split by spaces."
        )
    if not len(generated):
        raise ValueError("bleu_counts: generated must have at least one text. Received: none. Generate some first.")
    if not all(isinstance(text, str) for text in generated):
        raise TypeError(
            f"bleu_counts: generated must be texts. Received: {generated[0]!r} and others. Join tokens by spaces, "
            "and pass tokenize='none'."
        )
    check_references("bleu_counts", generated, references)

    # `effective_order` changes the score of a sentence, which is not used, and none of its counts.
    sentences = BLEU(tokenize=tokenize, force=True, effective_order=True)
    statistics = np.zeros((len(generated), 2 + 2 * ORDERS), np.int64)
    for row, text, accepted in zip(statistics, generated, references, strict=True):
        counted = sentences.sentence_score(text, list(accepted))
        row[:] = [counted.sys_len, counted.ref_len, *counted.counts, *counted.totals]
    return statistics


def bleu_signature(references: Sequence[Sequence[str]], tokenize: str = "13a") -> str:
    """sacreBLEU's signature of how `bleu_counts` counts: only figures with the same one can be compared."""
    from sacrebleu.metrics.bleu import BLEU

    # It says how many references there are, which sacreBLEU learns from a corpus: here of lengths only.
    corpus = BLEU(tokenize=tokenize, force=True)
    numbers = [[""] * len(accepted) for accepted in references]
    corpus.corpus_score([""] * len(numbers), list(zip_longest(*numbers)))
    return str(corpus.get_signature())


def bleu(summed: np.ndarray) -> np.ndarray:
    """BLEU from 0 to 100, from summed statistics of `bleu_counts` [..., 10] → [...]."""
    generated, reference = summed[..., 0], summed[..., 1]
    matched, total = summed[..., 2 : 2 + ORDERS], summed[..., 2 + ORDERS :]
    misses = np.cumsum(matched == 0, axis=-1)
    # A corpus without a single 4-gram, or without a match, has BLEU 0.
    defined = (total > 0).all(axis=-1) & (matched > 0).any(axis=-1)
    share = np.where(matched > 0, matched, 0.5**misses) / np.maximum(total, 1)
    brevity = np.minimum(0, 1 - reference / np.maximum(generated, 1))
    return np.where(defined, 100 * np.exp(brevity + np.log(share).mean(axis=-1)), 0.0)
