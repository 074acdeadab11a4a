"""From a configuration and a train split to a tokenizer: what is counted, and what of it becomes a token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
from pipeline.config import TransformConfig


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


def counting(config: TransformConfig, train: Documents) -> Counting:
    """What has to be counted for a tokenizer. Byte pairs are learnt from the train split here and now."""
    options = TextOptions(config.normalization, config.lowercase)
    match config.tokenizer:
        case "char":
            return Counting(partial(_count_symbols, count_characters, options), options.is_identity)
        case "word":
            return Counting(partial(_count_symbols, count_words, options), anywhere=False)
        case "byte":
            tokenizer: Tokenizer = ByteTokenizer(config.specials, options)
        case "bpe":
            pairs = bpe.train(_texts(train, options), config.bpe_size - len(config.specials))
            tokenizer = BpeTokenizer(config.specials, options, tuple(pairs))
    return Counting(partial(_count_tokens, tokenizer), tokenizer.is_local, tokenizer)


def make_tokenizer(config: TransformConfig, counting: Counting, counts: Mapping[Any, int]) -> Tokenizer:
    """The tokenizer, given how often each symbol occurs in the train split."""
    if counting.tokenizer is not None:
        return counting.tokenizer
    options = TextOptions(config.normalization, config.lowercase)
    if config.tokenizer == "char":
        return CharTokenizer.from_counts(counts, config.specials, config.min_count, options)
    return WordTokenizer.from_counts(counts, config.specials, config.min_count, options, config.vocabulary_size)


def _count_symbols(count: Callable[[str], Counter[Any]], options: TextOptions, text: str) -> Counter[Any]:
    return count(options.apply(text))


def _count_tokens(tokenizer: Tokenizer, text: str) -> Counter[int]:
    return count_values(tokenizer.encode(text))


def _texts(documents: Documents, options: TextOptions) -> Iterator[str]:
    for start, stop in block_ranges(documents, anywhere=False, block=BLOCK_BYTES):
        head, texts = segments(documents, start, stop)
        yield from map(options.apply, [head, *texts])
