"""Byte-pair encoding: pieces of UTF-8, the merges that join bytes to tokens, and how merges are learned.

A text's bytes are cut into pieces, and tokens never reach across a cut. With four classes of bytes (space 0x20; other
whitespace 0x09 to 0x0D; ASCII punctuation; the rest: letters, digits, other controls, all of 0x80 and above) a piece is
an optional single space and a run of one class of at most 64 characters, or one byte of whitespace: `"it's  a\n"` →
`it`, `'`, `s`, ` `, ` a`, `\n`. No cut falls into a character. (The bound is for scripts that part no words: learning
takes a time that grows with the square of the longest piece.)

Tokens 0 to 255 are the bytes; merge `(a, b)` number r makes token 256 + r. In a piece the pair of neighbours with the
lowest number is merged wherever it occurs, from left to right, until no pair is among the merges.
`components.exporter.bpe` does the same inside a TensorFlow graph.

Source:
    Sennrich, Haddow and Birch (2016), Neural Machine Translation of Rare Words with Subword Units, algorithm 1.
"""

from __future__ import annotations

import heapq
import importlib.metadata
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

BYTES = 256
SPACE, WHITESPACE, PUNCTUATION, REST = range(4)
LONGEST_RUN = 64  # characters
# The same pieces as `piece_starts`, for the trainer's own regular expressions.
_PIECE = r" ?[!-/:-@\[-`{-~]{1,64}| ?[^\x09-\x0D !-/:-@\[-`{-~]{1,64}|[\x09-\x0D ]"
# Pieces that are remembered at a time: some ten megabytes.
_CACHE_SIZE = 1 << 16
_NOT_INSTALLED = (
    "Transform: learning byte-pair merges must have the package `tokenizers`. Received: it is not installed. "
    "Install the extra `bpe`: pip install 'rnn-pipeline[bpe]'."
)


def byte_classes() -> np.ndarray:
    """Returns the class of each byte, uint8 [256]."""
    classes = np.full(BYTES, REST, np.uint8)
    classes[list(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")] = PUNCTUATION
    classes[0x09:0x0E] = WHITESPACE
    classes[0x20] = SPACE
    return classes


_CLASSES = byte_classes()


def piece_starts(raw: bytes) -> np.ndarray:
    """Finds where the pieces of a text begin.

    Args:
        raw: Its UTF-8 bytes.

    Returns:
        Positions in bytes, ascending, the first of them 0: int64 [pieces]. Empty for an empty text.
    """
    classes = _CLASSES[np.frombuffer(raw, np.uint8)]
    before, here = classes[:-1], classes[1:]
    cut = np.ones(len(classes), bool)
    cut[1:] = (here <= WHITESPACE) | ((before != SPACE) & (before != here))
    if not len(cut):
        return np.flatnonzero(cut)
    # Long runs are cut again; a space before a run is none of its characters.
    opens = (np.frombuffer(raw, np.uint8) & 0xC0) != 0x80
    character = np.cumsum(opens)
    starts = np.flatnonzero(cut)
    first = np.minimum(starts + (classes[starts] == SPACE), len(classes) - 1)
    within = character - character[first][np.cumsum(cut) - 1]
    cut |= opens & (within > 0) & (within % LONGEST_RUN == 0)
    return np.flatnonzero(cut)


@dataclass(frozen=True, init=False)
class Bpe:
    """Turns bytes into tokens, and back.

    Attributes:
        merges: Pairs of token ids, first merge first; each is made of bytes and of tokens of merges before it.

    Raises:
        ValueError: A merge uses a token that does not exist yet, or comes twice.
    """

    merges: tuple[tuple[int, int], ...]

    def __init__(self, merges: Iterable[Sequence[int]]) -> None:
        object.__setattr__(self, "merges", tuple((int(a), int(b)) for a, b in merges))
        for rank, pair in enumerate(self.merges):
            if not (min(pair) >= 0 and max(pair) < BYTES + rank):
                raise ValueError(
                    f"Bpe: merge {rank} must join tokens from 0 to {BYTES + rank - 1}. Received: merges[{rank}]="
                    f"{pair!r}. Give the merges in the order in which they were learned."
                )
        if len(self._ranks) != len(self.merges):
            raise ValueError(
                f"Bpe: merges must differ. Received: {len(self.merges)} merges, {len(self._ranks)} different ones. "
                "Remove what comes twice."
            )

    def __len__(self) -> int:
        """Number of tokens."""
        return BYTES + len(self.merges)

    def __getstate__(self) -> dict[str, object]:
        # What was remembered stays at home.
        return {"merges": self.merges}

    @cached_property
    def tokens(self) -> list[bytes]:
        """The bytes of each token."""
        tokens = [bytes([value]) for value in range(BYTES)]
        for a, b in self.merges:
            tokens.append(tokens[a] + tokens[b])
        return tokens

    @cached_property
    def _ranks(self) -> dict[tuple[int, int], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _cache(self) -> dict[bytes, bytes]:
        return {}

    def encode_bytes(self, raw: bytes) -> np.ndarray:
        """Turns UTF-8 bytes into token ids, int32 [tokens]."""
        cache = self._cache
        encoded = []
        bounds = [*piece_starts(raw).tolist(), len(raw)]
        for start, stop in pairwise(bounds):
            piece = raw[start:stop]
            ids = cache.get(piece)
            if ids is None:
                if len(cache) >= _CACHE_SIZE:
                    cache.clear()
                ids = cache[piece] = self._encode_piece(piece)
            encoded.append(ids)
        # Ids are kept as bytes because joining those is one copy, however many pieces there are.
        return np.frombuffer(b"".join(encoded), np.int32)

    def _encode_piece(self, piece: bytes) -> bytes:
        """Token ids of one piece, as the bytes of an int32 array; n log n in its length, for a piece may be a text."""
        ranks = self._ranks
        ids = list(piece)
        size = len(ids)
        # Tokens form a linked list, each at the position of its first byte; what was merged into another is -1.
        before, after = list(range(-1, size - 1)), list(range(1, size + 1))
        # A new pair has a higher rank than the merge that made it, so taking the lowest (rank, position) takes all
        # occurrences of the lowest pair, from left to right.
        queue = [(ranks[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in ranks]
        heapq.heapify(queue)
        while queue:
            rank, i = heapq.heappop(queue)
            j = after[i]
            if j == size or ranks.get((ids[i], ids[j])) != rank:
                continue  # One of the two has been merged with another since.
            ids[i], ids[j] = BYTES + rank, -1
            after[i] = after[j]
            if after[i] < size:
                before[after[i]] = i
            for left, right in ((before[i], i), (i, after[i])):
                if left >= 0 and right < size and (ids[left], ids[right]) in ranks:
                    heapq.heappush(queue, (ranks[ids[left], ids[right]], left))
        return np.array([token for token in ids if token >= 0], np.int32).tobytes()


def train(texts: Iterable[str], vocabulary_size: int) -> list[tuple[int, int]]:
    """Learns the merges that occur most often, with HuggingFace's `tokenizers`.

    The result depends on the counts of the pieces only, not on the order of the texts.

    Args:
        texts: The corpus.
        vocabulary_size: Bytes and merges together, at least 256.

    Returns:
        At most vocabulary_size - 256 merges for `Bpe`, fewer if the corpus has fewer pairs that come twice.

    Raises:
        ModuleNotFoundError: `tokenizers` is not installed.
        ValueError: vocabulary_size is below 256.
    """
    if vocabulary_size < BYTES:
        raise ValueError(
            f"train: vocabulary_size must hold the {BYTES} bytes. Received: vocabulary_size={vocabulary_size!r}. "
            f"Give {BYTES} or more."
        )
    try:
        from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_NOT_INSTALLED) from error
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECE), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = _byte_letters()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, min_frequency=2, show_progress=False, initial_alphabet=list(letters)
    )
    tokenizer.train_from_iterator(texts, trainer)

    learned = json.loads(tokenizer.to_str())["model"]["merges"]
    ids = {letter: byte for byte, letter in enumerate(letters)}
    merges: list[tuple[int, int]] = []
    for left, right in learned[: vocabulary_size - BYTES]:
        ids.setdefault(left + right, BYTES + len(merges))
        merges.append((ids[left], ids[right]))
    return merges


def trainer_version() -> str:
    """The version of `tokenizers`; what is learned may depend on it.

    Raises:
        ModuleNotFoundError: It is not installed.
    """
    try:
        return importlib.metadata.version("tokenizers")
    except importlib.metadata.PackageNotFoundError as error:
        raise ModuleNotFoundError(_NOT_INSTALLED) from error


def _byte_letters() -> str:
    """The printable character by which `tokenizers` writes each byte: itself, or else the next from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0x100)} - {0xAD}
    rest = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in printable else next(rest)) for byte in range(BYTES))
