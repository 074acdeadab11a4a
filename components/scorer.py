"""Tells how likely texts are to a served model, as a whole and token by token: what `score` calls."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from components.metrics.likelihood import metrics
from components.served.folder import language_signatures, version_folder
from components.transform import tokenizers

# Tokens that are read at once: memory grows with these times the vocabulary, not with the text.
_PIECE = 256

Score = dict[str, float | int]


@dataclasses.dataclass(frozen=True)
class TokenScore:
    """What a model made of one token, given all before it.

    Attributes:
        token: Its name, `<end>` for the end of the text.
        log_prob: ln p.
        rank: 1 when none is likelier.
        alternative: The likeliest of all other tokens.
        alternative_log_prob: ln p of that.
    """

    token: str
    log_prob: float
    rank: int
    alternative: str
    alternative_log_prob: float

    @property
    def p(self) -> float:
        """Its probability."""
        return math.exp(self.log_prob)

    @property
    def bits(self) -> float:
        """What it costs to say so: -log2 p."""
        return -self.log_prob / math.log(2)

    @property
    def alternative_p(self) -> float:
        """The probability of the alternative."""
        return math.exp(self.alternative_log_prob)


class Scorer:
    """A served model that reads whole documents: each text from zero states, and the `<end>` after it.

    Args:
        model: Folder of the served model or of one of its versions.

    Raises:
        UsageError: As `language_signatures`.
    """

    def __init__(self, model: Path) -> None:
        self._signatures = language_signatures(model, "score", "initial_state", "next_log_probs")
        self._tokenizer = tokenizers.load(version_folder(model) / "assets")

    def score(self, text: str) -> Score:
        """nats and perplexity per token, bits_per_char, tokens."""
        import tensorflow as tf

        outputs = self._signatures["score"](text=tf.constant([text]))
        tokens = int(outputs["tokens"][0])
        return metrics(-float(outputs["log_prob"][0]) / tokens, tokens, len(text) + 1)

    def tokens(self, text: str) -> Iterator[TokenScore]:
        """Each token of a text, and the `<end>` after it."""
        import tensorflow as tf

        end, names = self._tokenizer.end, self._tokenizer.tokens
        ids = np.asarray([end, *self._tokenizer.encode(text), end], np.int32)
        states = self._signatures["initial_state"](batch_size=tf.constant(1))
        for start in range(0, len(ids) - 1, _PIECE):
            piece = ids[start : start + _PIECE + 1]
            states = self._signatures["next_log_probs"](
                token=tf.constant(piece[:1]), ids=tf.constant(piece[None, 1:]), **states
            )
            states.pop("token")
            log_probs = states.pop("log_probs")[0].numpy()  # [timesteps, vocabulary]
            place = np.arange(len(piece) - 1)
            own = log_probs[place, piece[1:]]
            ranks = 1 + np.sum(log_probs > own[:, None], axis=1)
            log_probs[place, piece[1:]] = -np.inf
            others = np.argmax(log_probs, axis=1)
            for i, other, *values in zip(piece[1:], others, own, ranks, log_probs[place, others], strict=True):
                log_prob, rank, alternative = (value.item() for value in values)
                yield TokenScore(names[i], log_prob, rank, names[other], alternative)


def total(scores: Sequence[Score], texts: Sequence[str]) -> Score:
    """The score of several texts together, a document each."""
    tokens = sum(int(score["tokens"]) for score in scores)
    nats = sum(score["nats"] * score["tokens"] for score in scores) / tokens
    return metrics(nats, tokens, sum(len(text) + 1 for text in texts))
