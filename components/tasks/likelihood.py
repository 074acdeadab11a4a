"""The likelihood of a token stream, document by document: exact, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from components.metrics.likelihood import metrics
from components.tasks.language_model import LanguageModel, negative_log_likelihood

ROWS = 64
WINDOW_LENGTH = 256

Score = Callable[..., tuple[Any, list[Any]]]


@dataclass(frozen=True)
class Likelihood:
    """Token-weighted: every predicted token, the closing `<end>` of each document included, counts once.

    Attributes:
        nats_by_document: Sum of -ln p over the tokens of each document, float64 [documents].
        tokens_by_document: Predicted tokens of each document, int64 [documents].
        nats_by_token: -ln p of each token, document after document: float64 [tokens].
    """

    nats_by_document: np.ndarray
    tokens_by_document: np.ndarray
    nats_by_token: np.ndarray

    @property
    def tokens(self) -> int:
        """Predicted tokens."""
        return int(self.tokens_by_document.sum())

    @property
    def nats(self) -> float:
        """Mean nats per token."""
        return float(self.nats_by_document.sum()) / self.tokens

    def metrics(self, characters: int) -> dict[str, float | int]:
        """nats, bits_per_char, perplexity and tokens; each document from a zero state, carried to its end.

        Args:
            characters: How many the tokens are, the end of a document counted as one.
        """
        return metrics(self.nats, self.tokens, characters)


def scorer(model: LanguageModel) -> Callable[[Any, Any, Any, Any], Any]:
    """The function to compile for `evaluate`: inputs, targets, reset, states → nats [batch, timesteps], states."""

    def score(inputs: Any, targets: Any, reset: Any, states: Any) -> Any:
        logits, states = model(inputs, states, reset=reset)
        return negative_log_likelihood(logits, targets), states

    return score


def probabilities(model: LanguageModel, tokens: np.ndarray, end: int) -> np.ndarray:
    """p(next token) after each of a few tokens, from a zero state: float32 [tokens, vocabulary]."""
    inputs = tokens[None].astype(np.int32)
    logits, _ = model(inputs, model.initial_states(1), reset=inputs == end)
    return np.asarray(ops.convert_to_numpy(ops.softmax(logits[0], axis=-1)))


def evaluate(
    stream: np.ndarray,
    end: int,
    score: Score,
    initial_states: Callable[[int], list[Any]],
    rows: int = ROWS,
    window_length: int = WINDOW_LENGTH,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Likelihood:
    """Sums -ln p over every token of a split.

    Whole documents are dealt to the rows of a batch, so that each is read from its `<end>` on a zero state to its end,
    in one piece: the result depends on `rows` and `window_length` by rounding only.

    Args:
        stream: Token ids `<end> c1 … cn <end> … <end>` [tokens].
        end: Id of `<end>`.
        score: Compiled `scorer`.
        initial_states: Makes zero states for a number of rows.
        rows: Documents read at a time.
        window_length: Steps in one call.
        on_progress: Told the share that is done.
    """
    borders = np.flatnonzero(stream == end)
    lengths = np.diff(borders)
    dealt = deal(lengths, min(rows, len(lengths)))
    row_lengths = [int(lengths[documents].sum()) for documents in dealt]
    inputs = [np.concatenate([stream[borders[d] : borders[d + 1]] for d in documents]) for documents in dealt]
    targets = [np.concatenate([stream[borders[d] + 1 : borders[d + 1] + 1] for d in documents]) for documents in dealt]

    states = initial_states(len(dealt))
    nats: list[list[np.ndarray]] = [[] for _ in dealt]
    for start in range(0, max(row_lengths), window_length):
        window = slice(start, start + window_length)
        x = _stack(inputs, window, window_length)
        step_nats, states = score(x, _stack(targets, window, window_length), x == end, states)
        step_nats = ops.convert_to_numpy(step_nats)
        for row, length in enumerate(row_lengths):
            nats[row].append(step_nats[row, : max(length - start, 0)])
        on_progress(min(1.0, (start + window_length) / max(row_lengths)))

    totals = np.zeros(len(lengths))
    by_document: list[np.ndarray] = [np.empty(0)] * len(lengths)
    for documents, pieces in zip(dealt, nats, strict=True):
        ends = np.cumsum(lengths[documents])
        of_row = np.concatenate(pieces).astype(np.float64)
        totals[documents] = np.add.reduceat(of_row, ends - lengths[documents])
        for document, of_document in zip(documents, np.split(of_row, ends[:-1]), strict=True):
            by_document[document] = of_document
    return Likelihood(totals, lengths, np.concatenate(by_document))


def deal(lengths: np.ndarray, rows: int) -> list[np.ndarray]:
    """Deals documents to rows so that the rows come out about equally long: the longest first, to the shortest row.

    Returns:
        The document numbers of each row, int64.
    """
    totals = np.zeros(rows, np.int64)
    dealt: list[list[int]] = [[] for _ in range(rows)]
    for document in np.argsort(-lengths, kind="stable"):
        row = int(np.argmin(totals))
        dealt[row].append(int(document))
        totals[row] += lengths[document]
    return [np.asarray(row, np.int64) for row in dealt]


def _stack(rows: Sequence[np.ndarray], window: slice, length: int) -> np.ndarray:
    """The same window of every row, int32 [rows, length], zeros where a row has ended."""
    stacked = np.zeros((len(rows), length), np.int32)
    for i, row in enumerate(rows):
        piece = row[window]
        stacked[i, : len(piece)] = piece
    return stacked
