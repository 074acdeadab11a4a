"""Random bits that a key and a place decide: no state, the same on every backend, and fast under XLA on a CPU."""

import math
from collections.abc import Sequence
from typing import Any

from keras import ops

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_KEY_PARITY = 0x1BD11BDA


def threefry_2x32(key_high: Any, key_low: Any, counter_high: Any, counter_low: Any) -> tuple[Any, Any]:
    """Encrypt a counter with the Threefry-2x32 block cipher, 20 rounds, on uint32 arrays of one shape.

    Source: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
    """
    parity = ops.bitwise_xor(ops.bitwise_xor(key_high, key_low), ops.cast(_KEY_PARITY, "uint32"))
    keys = (key_high, key_low, parity)
    x, y = counter_high + keys[0], counter_low + keys[1]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x = x + y
            left = ops.left_shift(y, ops.cast(rotation, "uint32"))
            right = ops.right_shift(y, ops.cast(32 - rotation, "uint32"))
            y = ops.bitwise_xor(ops.bitwise_or(left, right), x)
        x = x + keys[(block + 1) % 3]
        y = y + keys[(block + 2) % 3] + ops.cast(block + 1, "uint32")
    return x, y


def random_bits(shape: Sequence[int], key_high: Any, key_low: Any) -> Any:
    """Return uint32 numbers of a static shape, each decided by the key (two uint32 scalars) and its place alone."""
    size = math.prod(shape)
    half = (size + 1) // 2
    # TensorFlow under XLA has no range of uint32.
    place = ops.cast(ops.arange(half, dtype="int32"), "uint32")  # [half]
    zeros = ops.zeros_like(place)
    both = threefry_2x32(zeros + key_high, zeros + key_low, place, zeros)
    return ops.reshape(ops.concatenate(both)[:size], tuple(shape))
