"""Which document goes to which split. Pure and deterministic, on arrays; characters are never shuffled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from components.example_gen.split_names import SPLITS

# What eval gets of train where a source comes with a train and a test split only.
_EVAL_SHARE = 0.05
_CHUNK = 1 << 20  # documents at a time


@dataclass(frozen=True, eq=False)
class Part:
    """What a split takes of a corpus: documents, or the characters `start` to `stop` of documents put together.

    Attributes:
        chosen: Its documents: bool [documents].
        start: First character of the chosen documents that it takes; 0 but for a corpus of too few documents.
        stop: The one after its last; None for all.
    """

    chosen: np.ndarray
    start: int = 0
    stop: int | None = None

    def characters(self, characters: np.ndarray) -> int:
        """How many characters it takes of documents that long."""
        total = int(characters[self.chosen].sum())
        return (total if self.stop is None else self.stop) - self.start

    def among(self, documents: np.ndarray) -> Part:
        """The same part of a corpus of which only those documents were divided: bool [all documents]."""
        chosen = np.zeros(len(documents), bool)
        chosen[documents] = self.chosen
        return Part(chosen, self.start, self.stop)


def id_hash(name: str) -> int:
    """The first 64 bits of an id's SHA-256; documents are chosen in the order of these numbers."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def numbered_hashes(file: str, numbers: np.ndarray) -> np.ndarray:
    """What stands for the `id_hash` of a file's numbered documents, all at once: uint64 [documents].

    The mixing function of SplitMix64 (Steele, Lea and Flood 2014) over the file's own hash plus the number.
    """
    mixed = np.uint64(id_hash(file)) + numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def same(documents: int, names: Sequence[str] = SPLITS) -> dict[str, Part]:
    """Every split is the whole corpus."""
    return {name: Part(np.ones(documents, bool)) for name in names}


def by_hash(characters: np.ndarray, hashes: np.ndarray, shares: Mapping[str, float]) -> dict[str, Part]:
    """Divides a corpus by characters, in the order of the documents' hashed ids.

    With at least one document for every split, documents stay whole: a split takes, in that order, those that still
    fit into its share (the shortest one that is not empty if none does; empty ones only before the first that does not
    fit); what nobody took belongs to the split with the largest share. With fewer documents, their text in order is cut
    at the shares' borders.

    Args:
        characters: Length of each document, in the order of the corpus: int64 [documents].
        hashes: `id_hash` of each: uint64 [documents].
        shares: Split name → share of the characters; they add up to 1. A share of 0 leaves the split out.

    Returns:
        Split name → what it takes.
    """
    shares = {name: share for name, share in shares.items() if share > 0}
    if len(characters) < len(shares):
        return _cut(characters, shares)
    largest = max(shares, key=lambda name: shares[name])
    total = int(characters.sum())
    free = np.argsort(hashes, kind="stable")
    parts: dict[str, Part] = {}
    small = [name for name in shares if name != largest]
    for position, name in enumerate(small):
        # Every split still to be served, the largest among them, needs a document.
        spare = len(free) - (len(small) - position)
        taken = _fill(characters, free, shares[name] * total, spare)
        if not taken.any():
            taken[_shortest(characters[free])] = True
        parts[name] = Part(_mask(len(characters), free[taken]))
        free = free[~taken]
    parts[largest] = Part(_mask(len(characters), free))
    return {name: parts[name] for name in shares}


def by_position(characters: np.ndarray, shares: Mapping[str, float], can_cut: bool = True) -> dict[str, Part]:
    """Divides a corpus into contiguous pieces: the first to the first split, and so on.

    A border lies between two documents, next to where the share ends. With fewer documents than splits, or if a split
    would get less than half or more than one and a half times its share so, their text is cut at the shares' borders.

    Args:
        characters, shares: As in `by_hash`.
        can_cut: Whether enough documents may be cut: text may, what has labels may not.

    Returns:
        As `by_hash`.
    """
    shares = {name: share for name, share in shares.items() if share > 0}
    if len(characters) < len(shares):
        return _cut(characters, shares)
    whole = _whole_pieces(characters, shares)
    total = int(characters.sum())
    if not can_cut or all(
        0.5 <= part.characters(characters) / (shares[name] * total) <= 1.5 for name, part in whole.items()
    ):
        return whole
    cut = _cut(characters, shares)
    return cut if all(part.characters(characters) for part in cut.values()) else whole


def _whole_pieces(characters: np.ndarray, shares: Mapping[str, float]) -> dict[str, Part]:
    documents = len(characters)
    ends = np.concatenate([[0], np.cumsum(characters)])
    parts, start = {}, 0
    for left, border in enumerate(_borders(int(ends[-1]), shares), 1 - len(shares)):
        after = int(np.searchsorted(ends, border))
        nearest = after - (after > 0 and border - ends[after - 1] < ends[after] - border)
        stop = documents if left == 0 else min(max(nearest, start + 1), documents + left)
        parts[list(shares)[left - 1]] = Part(_mask(documents, slice(start, stop)))
        start = stop
    return parts


def given(characters: np.ndarray, hashes: np.ndarray, codes: np.ndarray) -> dict[str, Part]:
    """Takes the splits that the source itself names.

    A source without an eval split gives 5 % of the characters of train to it, as `by_hash` does.

    Args:
        characters: As in `by_hash`.
        hashes: As in `by_hash`.
        codes: Position in `SPLITS` of each document's split, negative for none: int8 [documents].

    Raises:
        ValueError: There is no train split.
    """
    parts = {name: Part(codes == code) for code, name in enumerate(SPLITS) if np.any(codes == code)}
    if "train" not in parts:
        raise ValueError(
            f"ExampleGen: given splits must have a train split. Received: {', '.join(parts) or 'none'}. Let "
            "example_gen.splits divide the corpus."
        )
    if "eval" not in parts:
        train = np.flatnonzero(parts["train"].chosen)
        halves = by_hash(characters[train], hashes[train], {"train": 1 - _EVAL_SHARE, "eval": _EVAL_SHARE})
        for name, half in halves.items():
            parts[name] = half.among(codes == 0)
    return parts


def _fill(characters: np.ndarray, order: np.ndarray, room: float, spare: int) -> np.ndarray:
    """Which of the documents in `order` fit into a share, each being tried once: bool [documents]."""
    taken = np.zeros(len(order), bool)
    full = False  # whether one did not fit
    for start in range(0, len(order), _CHUNK):
        waiting = np.arange(start, min(start + _CHUNK, len(order)))
        while len(waiting) and spare > 0 and not (full and room < 1):
            lengths = characters[order[waiting]]
            if full:
                fits = (lengths <= room) & (lengths > 0)
                waiting, lengths = waiting[fits], lengths[fits]
            fit = min(int(np.searchsorted(np.cumsum(lengths), room, "right")), spare)
            taken[waiting[:fit]] = True
            spare -= fit
            room -= float(lengths[:fit].sum())
            full = full or fit < len(waiting)
            waiting = waiting[fit + 1 :]
    return taken


def _shortest(characters: np.ndarray) -> int:
    written = np.flatnonzero(characters)
    return int(written[np.argmin(characters[written])]) if len(written) else 0


def _cut(characters: np.ndarray, shares: Mapping[str, float]) -> dict[str, Part]:
    ends = np.cumsum(characters)
    parts, start = {}, 0
    for name, stop in zip(shares, _borders(int(ends[-1]), shares), strict=True):
        chosen = (ends > start) & (ends - characters < stop)
        before = int((ends - characters)[chosen].min()) if chosen.any() else start
        parts[name] = Part(chosen, start - before, stop - before)
        start = stop
    return parts


def _borders(total: int, shares: Mapping[str, float]) -> list[int]:
    """Characters of a corpus before the end of each split."""
    ends = np.cumsum(list(shares.values()))[:-1]
    # Shares add up to 1 but for rounding, which must not cost the last split a character.
    return [*(round(float(share) * total) for share in ends), total]


def _mask(documents: int, positions: np.ndarray | slice) -> np.ndarray:
    mask = np.zeros(documents, bool)
    mask[positions] = True
    return mask
