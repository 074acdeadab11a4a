"""Byte-pair encoding as its definition reads, and random merges to try it with."""

import itertools
import random
from collections.abc import Sequence

from hypothesis import strategies as st

Merges = list[tuple[int, int]]


def byte_class(byte: int) -> str:
    if byte == 0x20:
        return "space"
    if 0x09 <= byte <= 0x0D:
        return "whitespace"
    if any(low <= byte <= high for low, high in (b"!/", b":@", b"[`", b"{~")):
        return "punctuation"
    return "rest"


def pieces_by_loop(raw: bytes) -> list[bytes]:
    """Cut at position i where i is 0, class[i] is a whitespace, or class[i-1] is neither a space nor class[i].

    And before every 64th character of a run, the space before it not counted.
    """
    pieces: list[bytes] = []
    characters = 0  # of the run that began after the last cut of the first kind
    for i, byte in enumerate(raw):
        here = byte_class(byte)
        opens = byte & 0xC0 != 0x80
        if i == 0 or here in ("space", "whitespace") or byte_class(raw[i - 1]) not in ("space", here):
            pieces.append(b"")
            characters = 0
        elif byte_class(raw[i - 1]) != "space":
            characters += opens
            if opens and characters % 64 == 0:
                pieces.append(b"")
        pieces[-1] += bytes([byte])
    return pieces


def encode_by_definition(merges: Merges, raw: bytes) -> list[int]:
    """In each piece: the lowest pair, wherever it is, from left to right; again until there is none."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    tokens: list[int] = []
    for piece in pieces_by_loop(raw):
        ids = list(piece)
        while found := [ranks[pair] for pair in itertools.pairwise(ids) if pair in ranks]:
            pair, i = merges[min(found)], 0
            while i < len(ids) - 1:
                if (ids[i], ids[i + 1]) == pair:
                    ids[i : i + 2] = [256 + min(found)]
                i += 1
        tokens += ids
    return tokens


def random_merges(alphabet: Sequence[int], count: int, seed: int, longest: int = 1000) -> Merges:
    """`count` different merges of bytes of the alphabet and of merges before, no token of more than `longest` bytes."""
    source, merges = random.Random(seed), {}
    lengths = dict.fromkeys(alphabet, 1)
    while len(merges) < count:
        a, b = pair = (source.choice(list(lengths)), source.choice(list(lengths)))
        if pair not in merges and lengths[a] + lengths[b] <= longest:
            merges[pair] = None
            lengths[255 + len(merges)] = lengths[a] + lengths[b]
    return list(merges)


def merge_lists(alphabet: Sequence[int] = b"abc .\xc3") -> st.SearchStrategy[Merges]:
    """Lists of up to 20 merges, many of them of one byte with itself."""
    return st.builds(
        random_merges,
        st.sampled_from([alphabet, alphabet[:1], alphabet[:2]]),
        st.integers(0, 4).map(lambda n: n * n),
        st.integers(0, 10**6),
    )
