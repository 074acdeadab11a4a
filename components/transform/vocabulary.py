"""From a configuration and a train split to a tokenizer: what is counted, and what of it becomes a token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.documents import Documents
from components.transform import bpe
from components.transform.text_blocks import BLOCK_BYTES, block_ranges, segments
from components.transform.text_options import TextOptions
from components.transform.tokenizers import (
    BpeTokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    count_characters,
    count_values,
    count_words,
)
from pipeline.config import TokenizerConfig


@dataclass(frozen=True)
class Counting:
    """What the first pass over a corpus counts.

    Attributes:
        count: Text → how often each symbol occurs in it; its total is the number of tokens.
        anywhere: A text may be cut between any two characters, and documents counted together.
        tokenizer: The tokenizer, for kinds that need no counts to make one.
    """

    count: Callable[[str], Counter[Any]]
    anywhere: bool
    tokenizer: Tokenizer | None = None


def counting(config: TokenizerConfig, specials: Sequence[str], texts: Iterable[str]) -> Counting:
    """What has to be counted for a tokenizer. Byte pairs are learnt here and now.

    Args:
        config: The tokenizer's keys.
        specials: Their names.
        texts: The train split, whole or in pieces across whose borders no byte pair reaches; not read without need.
    """
    options = TextOptions(config.normalization, config.lowercase)
    match config.tokenizer:
        case "char":
            return Counting(partial(_count_symbols, count_characters, options), options.is_identity)
        case "word":
            return Counting(partial(_count_symbols, count_words, options), anywhere=False)
        case "byte":
            tokenizer: Tokenizer = ByteTokenizer(tuple(specials), options)
        case "bpe":
            pairs = bpe.train(map(options.apply, texts), config.bpe_size - len(specials))
            tokenizer = BpeTokenizer(tuple(specials), options, tuple(pairs))
    return Counting(partial(_count_tokens, tokenizer), tokenizer.is_local, tokenizer)


def make_tokenizer(
    config: TokenizerConfig, specials: Sequence[str], counting: Counting, counts: Mapping[Any, int]
) -> Tokenizer:
    """The tokenizer, given how often each symbol occurs in the train split."""
    if counting.tokenizer is not None:
        return counting.tokenizer
    options = TextOptions(config.normalization, config.lowercase)
    if config.tokenizer == "char":
        return CharTokenizer.from_counts(counts, specials, config.min_count, options)
    return WordTokenizer.from_counts(counts, specials, config.min_count, options, config.vocabulary_size)


def check_unknown(unknown: Mapping[str, int], specials: Sequence[str], feature: str = "text") -> None:
    """Checks that what is not in the vocabulary has an id.

    Args:
        unknown: Split → how many tokens are not.
        specials: Names of the specials.
        feature: What the tokens are of.

    Raises:
        ValueError: There are unknown tokens, and no `<unk>`.
    """
    missing = {name: count for name, count in unknown.items() if count}
    if missing and "unk" not in specials:
        where = "" if feature == "text" else f" of the feature {feature}"
        raise ValueError(
            "Transform: without the special `unk` every split must use the train split's vocabulary only. Received: "
            f"unknown tokens {missing}{where}. Add unk to transform.specials."
        )


def block_texts(documents: Documents) -> Iterator[str]:
    """Yields the text of a split in pieces across whose borders no token reaches."""
    for start, stop in block_ranges(documents, anywhere=False, block=BLOCK_BYTES):
        head, texts = segments(documents, start, stop)
        yield from [head, *texts]


def _count_symbols(count: Callable[[str], Counter[Any]], options: TextOptions, text: str) -> Counter[Any]:
    return count(options.apply(text))


def _count_tokens(tokenizer: Tokenizer, text: str) -> Counter[int]:
    return count_values(tokenizer.encode(text))
