"""What counting reaches on the same data: a unigram and a smoothed trigram model of tokens.

    unigram   p(z)        = (c(z) + 1) / (N + vocabulary)
    bigram    p(z | y)    = (c(yz) + T(y) p(z)) / (c(y) + T(y))
    trigram   p(z | xy)   = (c(xyz) + T(xy) p(z | y)) / (c(xy) + T(xy))

c counts in the train split; T is the number of different tokens seen after a context (Witten-Bell smoothing). As for
the network, nothing is known at the start of a document: the tokens before its `<end>` do not count as context.

Source: Witten and Bell (1991), "The zero-frequency problem", method C, in its interpolated form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.metrics.task_baselines import unigram


@dataclass(frozen=True)
class _Counts:
    """How often each context, and each context with its next token, was seen."""

    keys: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, keys: np.ndarray) -> _Counts:
        return cls(*np.unique(keys, return_counts=True))

    def __getitem__(self, keys: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.counts[place], 0)


def unigram_nats(train: np.ndarray, held_out: np.ndarray, vocabulary_size: int) -> float:
    """Mean nats per token of the unigram model.

    Args:
        train: Token stream the model counts in.
        held_out: Token stream it predicts, from its second token on.
        vocabulary_size: Number of token ids.
    """
    return float(-np.log(unigram(train[1:], vocabulary_size)[held_out[1:]]).mean())


def trigram_nats(train: np.ndarray, held_out: np.ndarray, vocabulary_size: int, end: int) -> float:
    """Mean nats per token of the trigram model; `end` is the id of `<end>`, the rest as in `unigram_nats`."""
    probability = unigram(train[1:], vocabulary_size)[held_out[1:]]
    for order in (2, 3):
        context, seen = _ngrams(train, order, vocabulary_size, end)
        context_counts, ngram_counts = _Counts.of(context), _Counts.of(seen)
        kinds = _Counts.of(ngram_counts.keys // vocabulary_size)
        here, ngram = _ngrams(held_out, order, vocabulary_size, end)
        followers = kinds[here]
        total = context_counts[here] + followers
        # A context never seen leaves the shorter one's probability as it is.
        smoothed = (ngram_counts[ngram] + followers * probability) / np.maximum(total, 1)
        probability = np.where(total > 0, smoothed, probability)
    return float(-np.log(probability).mean())


def _ngrams(stream: np.ndarray, order: int, vocabulary_size: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the context before each predicted token, and of that context with the token, int64 [tokens - 1]."""
    last = stream[:-1].astype(np.int64)
    context = last
    if order == 3:
        before = np.concatenate([[end], last[:-1]])
        context = np.where(last == end, end, before) * vocabulary_size + last
    return context, context * vocabulary_size + stream[1:]
