"""What a task's model has to beat: predictions that look at the train split's outputs, and at little else.

They are predictions, so that every metric of the model can be taken of them too. For language models there are
`components/evaluator/baselines.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence, Sized
from typing import TypeVar

import numpy as np

Output = TypeVar("Output", bound=Hashable)


def majority_class(train_labels: np.ndarray, count: int) -> np.ndarray:
    """The most frequent class of the train split, for `count` items: int64 [count]. Of equals, the lowest class.

    Raises:
        ValueError: The train split has no labels.
    """
    _check_some("majority_class", "train_labels", train_labels)
    return np.full(count, np.bincount(train_labels).argmax(), np.int64)


def most_frequent_tags(
    train_words: Sequence[Hashable], train_tags: np.ndarray, words: Iterable[Hashable]
) -> np.ndarray:
    """The tag that each word had most often; the most frequent tag of all for words never seen.

    Args:
        train_words: Words of the train split, in a row.
        train_tags: Their tags, integers [words].
        words: Words to tag.

    Returns:
        Tags, int64 [words]. Of tags equally frequent for a word, the one that is more frequent in all.

    Raises:
        ValueError: There are not as many words as tags, or none.
    """
    _check_some("most_frequent_tags", "train_words", train_words)
    if len(train_words) != len(train_tags):
        raise ValueError(
            "most_frequent_tags: train_words and train_tags must be as many. Received: "
            f"{len(train_words)} and {len(train_tags)}. Concatenate the sentences of both, without padding."
        )
    overall = np.bincount(train_tags)
    by_word: dict[Hashable, Counter[int]] = {}
    for word, tag in zip(train_words, np.asarray(train_tags).tolist(), strict=True):
        by_word.setdefault(word, Counter())[tag] += 1
    best = {word: max(counts, key=lambda tag: (counts[tag], overall[tag], -tag)) for word, counts in by_word.items()}
    unknown = int(overall.argmax())
    return np.asarray([best.get(word, unknown) for word in words], np.int64)


def most_frequent_output(train_outputs: Sequence[Output]) -> Output:
    """The output, a caption or an answer, that the train split has most often. Of equals, the first.

    Raises:
        ValueError: The train split has no outputs.
    """
    _check_some("most_frequent_output", "train_outputs", train_outputs)
    return Counter(train_outputs).most_common(1)[0][0]


def mean_value(train_targets: np.ndarray, count: int) -> np.ndarray:
    """The mean target of the train split [examples, ...], for `count` examples: float64 [count, ...].

    Raises:
        ValueError: The train split has no targets.
    """
    _check_some("mean_value", "train_targets", train_targets)
    mean = np.mean(train_targets, axis=0, dtype=np.float64)
    return np.broadcast_to(mean, (count, *np.shape(mean)))


def unigram(train_tokens: np.ndarray, vocabulary_size: int) -> np.ndarray:
    """How likely each token is, whatever comes before: p(z) = (c(z) + 1) / (N + vocabulary).

    Args:
        train_tokens: Tokens of the train split that are predicted, integers [tokens]; c counts in them, N is their
            number.
        vocabulary_size: Number of token ids.

    Returns:
        Probabilities, float64 [vocabulary]; -ln p[tokens] are the nats of held-out tokens.
    """
    counts = np.bincount(train_tokens, minlength=vocabulary_size) + 1
    return np.asarray(counts / counts.sum())


def _check_some(owner: str, name: str, values: Sized) -> None:
    if not len(values):
        raise ValueError(
            f"{owner}: {name} must not be empty. Received: no examples. Pass the outputs of the train split."
        )
