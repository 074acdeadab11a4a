"""Which part of which document goes to which split. Pure and deterministic; characters are never shuffled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """Characters `start` to `stop` of the document `id`; usually all of it."""

    id: str
    start: int
    stop: int


def same(lengths: Mapping[str, int], names: Sequence[str]) -> dict[str, list[Piece]]:
    """Every split is the whole corpus."""
    whole = [Piece(name, 0, length) for name, length in lengths.items()]
    return dict.fromkeys(names, whole)


def split(lengths: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, list[Piece]]:
    """Divides a corpus by characters.

    With at least one document for every split, documents stay whole: a split takes, in the order of the documents'
    hashed ids, those that still fit into its share (the shortest one if none does); what nobody took belongs to the
    split with the largest share. With fewer documents, their text in order is cut at the shares' borders.

    Args:
        lengths: Document id → number of characters, in the order of the corpus.
        shares: Split name → share of the characters; they add up to 1. A share of 0 leaves the split out.

    Returns:
        Split name → its pieces, in the order of the corpus.
    """
    shares = {name: share for name, share in shares.items() if share > 0}
    return _whole(lengths, shares) if len(lengths) >= len(shares) else _cut(lengths, shares)


def _whole(lengths: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, list[Piece]]:
    largest = max(shares, key=lambda name: shares[name])
    total = sum(lengths.values())
    free = sorted(lengths, key=lambda document: hashlib.sha256(document.encode()).digest())
    chosen: dict[str, set[str]] = {}
    small = [name for name in shares if name != largest]
    for position, name in enumerate(small):
        # Every split still to be served, the largest among them, needs a document.
        spare = len(free) - (len(small) - position)
        room = shares[name] * total
        taken: set[str] = set()
        for document in free:
            if len(taken) < spare and lengths[document] <= room:
                taken.add(document)
                room -= lengths[document]
        if not taken:
            taken = {min(free, key=lambda document: lengths[document])}
        free = [document for document in free if document not in taken]
        chosen[name] = taken
    chosen[largest] = set(free)
    return {name: [Piece(d, 0, n) for d, n in lengths.items() if d in chosen[name]] for name in shares}


def _cut(lengths: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, list[Piece]]:
    total = sum(lengths.values())
    pieces: dict[str, list[Piece]] = {}
    stop, share_before = 0, 0.0
    last_name = list(shares)[-1]
    for name, share in shares.items():
        share_before += share
        # Shares add up to 1 but for rounding, which must not cost the last split a character.
        start, stop = stop, total if name == last_name else round(share_before * total)
        pieces[name] = []
        offset = 0
        for document, length in lengths.items():
            first, last = max(start - offset, 0), min(stop - offset, length)
            if first < last:
                pieces[name].append(Piece(document, first, last))
            offset += length
    return pieces
