"""The largest numbers of long rows, without sorting the rows: XLA's own top_k on a CPU sorts them whole."""

from __future__ import annotations

from typing import Any

from keras import ops

_CHUNK = 128


def top_k(values: Any, count: int) -> tuple[Any, Any]:
    """Returns the `count` largest of each row in falling order, and where they are; of equal ones the first.

    The largest n of a row lie in the n pieces of it with the largest maxima.

    Args:
        values: float [rows, size]; size is known while tracing, and at least `count`.
        count: How many.

    Returns:
        Values, float [rows, count], and indices, int32 [rows, count].
    """
    size = values.shape[-1]
    chunks = -(-size // _CHUNK)
    if chunks <= 2 * count:
        largest, index = ops.top_k(values, count)
        return largest, ops.cast(index, "int32")
    padded = ops.pad(values, [[0, 0], [0, chunks * _CHUNK - size]], constant_values=float("-inf"))
    parted = ops.reshape(padded, (-1, chunks, _CHUNK))
    _, chosen = ops.top_k(ops.max(parted, axis=-1), count)  # [rows, count]
    chosen = ops.sort(ops.cast(chosen, "int32"), axis=-1)  # so that equal numbers keep their order
    candidates = ops.take_along_axis(parted, chosen[:, :, None], axis=1)  # [rows, count, _CHUNK]
    largest, place = ops.top_k(ops.reshape(candidates, (-1, count * _CHUNK)), count)
    place = ops.cast(place, "int32")
    return largest, ops.take_along_axis(chosen, place // _CHUNK, axis=1) * _CHUNK + place % _CHUNK
