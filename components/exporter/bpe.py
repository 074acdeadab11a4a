"""Byte-pair encoding inside a TensorFlow graph, all pieces of a batch at once, with stock operations only.

The twin of `components.transform.bpe`. The pieces lie one after the other in one flat array, so a long one costs the
others no padding; equal pieces are encoded once. Each turn of the loop merges in every piece the lowest pair wherever
it occurs, from left to right; pieces without another merge leave. To need fewer turns than the longest piece has
merges, a pair is also merged when no lower one is near enough to reach it:

    Let x y be neighbours that merge r joins, and L the bytes of the longest token. What could take x or y before r
    comes is a token made by merges below r. It would be at most L bytes long and end with x or begin with y, and the
    first of its merges still to come would be that of two neighbours which are there already. So if no pair less than
    L tokens away is below r, x y can be merged now.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.exporter.pieces import split_bytes
from components.transform.bpe import BYTES, LONGEST_RUN, SPACE, WHITESPACE, Bpe, byte_classes


class GraphBpe(tf.Module):
    """Encodes strings as `Bpe` does bytes; the merges are constants of the graph.

    Args:
        bpe: The merges.
    """

    def __init__(self, bpe: Bpe) -> None:
        super().__init__()
        self._longest = max(map(len, bpe.tokens))
        self._size = len(bpe)
        # What a pair that is no merge has as its rank: above every rank.
        self._none = len(bpe.merges)
        self._classes = tf.constant(byte_classes(), tf.int32)
        # A table must not be empty; no pair has the key -1.
        keys = [-1, *(a * self._size + b for a, b in bpe.merges)]
        ranks = [self._none, *range(self._none)]
        self._ranks = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(keys, tf.int64), tf.constant(ranks, tf.int32)), self._none
        )

    def encode(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Turns strings [batch] into token ids, int32 [batch, (tokens)]."""
        rows = split_bytes(text)
        starts = self._piece_starts(rows)
        pieces = tf.RaggedTensor.from_row_starts(rows.flat_values, starts)
        # Pieces as strings, to find equal ones: each byte as the character of that number.
        distinct, which = tf.unique(tf.strings.unicode_encode(pieces, "UTF-8"), tf.int64)
        first = tf.math.unsorted_segment_min(tf.range(pieces.nrows()), which, tf.size(distinct))
        tokens = tf.gather(self._merge(tf.gather(pieces, first)), which)  # [pieces, (tokens)]
        pieces_before = tf.searchsorted(starts, rows.row_splits)
        return tf.RaggedTensor.from_row_splits(tokens.flat_values, tf.gather(tokens.row_splits, pieces_before))

    def _piece_starts(self, rows: tf.RaggedTensor) -> tf.Tensor:
        """Where pieces begin among the bytes of all rows, int64 [pieces]."""
        classes = tf.gather(self._classes, rows.flat_values)
        row = rows.value_rowids()
        before, here = classes[:-1], classes[1:]
        cut = (here <= WHITESPACE) | ((before != SPACE) & (before != here)) | (row[:-1] != row[1:])
        cut = tf.concat([tf.ones_like(row[:1], tf.bool), cut], 0)
        # Long runs are cut again; a space before a run is none of its characters.
        opens = tf.bitwise.bitwise_and(rows.flat_values, 0xC0) != 0x80
        character = tf.cumsum(tf.cast(opens, tf.int32))
        starts = tf.where(cut)[:, 0]
        spaces = tf.cast(tf.gather(classes, starts) == SPACE, tf.int64)
        first = tf.minimum(starts + spaces, tf.size(classes, tf.int64) - 1)
        within = character - tf.gather(tf.gather(character, first), tf.cumsum(tf.cast(cut, tf.int32)) - 1)
        cut |= opens & (within > 0) & (within % LONGEST_RUN == 0)
        return tf.where(cut)[:, 0]

    def _merge(self, pieces: tf.RaggedTensor) -> tf.RaggedTensor:
        """Bytes of pieces, int32 [pieces, (bytes)], as their tokens, int32 [pieces, (tokens)]."""
        count = pieces.nrows()
        flat, owner = pieces.flat_values, pieces.value_rowids()

        def turn(ids: Any, owner: Any, position: Any, finished: Any) -> Any:
            # ids, owner (the piece) and position (of the first byte) of the tokens in pieces not done yet: [tokens]
            rank = self._pair_ranks(ids, owner)
            lowest = tf.gather(tf.math.unsorted_segment_min(rank, owner, count), owner)
            goes_on = lowest < self._none
            joins = self._joins(rank, lowest)
            ids = tf.where(joins, BYTES + rank, ids)
            joined = tf.concat([tf.zeros_like(joins[:1]), joins[:-1]], 0)

            done = tf.where(~goes_on)
            finished = tf.tensor_scatter_nd_update(
                finished, tf.gather_nd(position, done)[:, None], tf.gather_nd(ids, done)
            )
            left = tf.where(goes_on & ~joined)
            return tf.gather_nd(ids, left), tf.gather_nd(owner, left), tf.gather_nd(position, left), finished

        loop = (flat, owner, tf.range(tf.size(flat)), -tf.ones_like(flat))
        *_, finished = tf.while_loop(lambda ids, *_: tf.size(ids) > 0, turn, loop)
        is_token = tf.where(finished >= 0)
        return tf.RaggedTensor.from_value_rowids(tf.gather_nd(finished, is_token), tf.gather_nd(owner, is_token), count)

    def _pair_ranks(self, ids: tf.Tensor, owner: tf.Tensor) -> tf.Tensor:
        """Rank of the pair that each token and the one after it in its piece are, int32 [tokens]."""
        wide = tf.cast(ids, tf.int64)
        rank = self._ranks.lookup(wide[:-1] * self._size + wide[1:])
        rank = tf.where(owner[:-1] == owner[1:], rank, self._none)
        return tf.concat([rank, tf.fill(tf.shape(ids[:1]), self._none)], 0)

    def _joins(self, rank: tf.Tensor, lowest: tf.Tensor) -> tf.Tensor:
        """Which tokens to join now with the one after them, bool [tokens].

        Args:
            rank: Of each token's pair, int32 [tokens].
            lowest: The lowest rank in each token's piece, int32 [tokens].
        """
        can = (rank < self._none) & ((rank == lowest) | (rank == self._lowest_nearby(rank)))
        # Pairs of equal rank side by side are runs such as `aaaa`: every other one counts, from the run's start, and
        # only as far as every pair from there on can be merged.
        place = tf.range(tf.size(rank))
        opens = tf.concat([tf.ones_like(can[:1]), rank[1:] != rank[:-1]], 0)
        start = tf.gather(tf.boolean_mask(place, opens), tf.cumsum(tf.cast(opens, tf.int32)) - 1)
        before = tf.cumsum(tf.cast(~can, tf.int32), exclusive=True)
        return can & ((place - start) % 2 == 0) & (before == tf.gather(before, start))

    def _lowest_nearby(self, rank: tf.Tensor) -> tf.Tensor:
        """The lowest of the ranks less than a longest token away, int32 [tokens]."""
        reach = self._longest - 1
        lowest = tf.pad(rank, [[reach, reach]], constant_values=self._none)
        # lowest[i] is that of `width` ranks from i on; the width doubles until it is 2 reach + 1.
        width = 1
        while width < 2 * reach + 1:
            step = min(width, 2 * reach + 1 - width)
            lowest = tf.minimum(lowest[:-step], lowest[step:])
            width += step
        return lowest
