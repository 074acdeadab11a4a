"""The windows of a `LaneReader` as a tf.data pipeline, for programs that train with one. Nothing here needs it."""

from __future__ import annotations

import functools

import tensorflow as tf

from components.transform.reader import LaneReader, Window
from components.transform.records import HEADER_BYTES, record_dtype


def dataset(reader: LaneReader, first: int = 0) -> tf.data.Dataset:
    """The same windows as `reader.windows(first)`, as tensors.

    Args:
        reader: The lanes of a split.
        first: Step to start at. Seeking costs the same for every step.

    Returns:
        A dataset of `Window`s.
    """
    length = reader.layout.window_length
    record = record_dtype(length, reader.dtype)
    # decode_raw knows no uint32; ids are far below 2^31.
    stored = {1: tf.uint8, 2: tf.uint16, 4: tf.int32}[reader.dtype.itemsize]
    groups = []
    for paths, lengths, start, stop in reader.groups(first):
        lanes = [
            tf.data.FixedLengthRecordDataset(str(path), record.itemsize, header_bytes=start * record.itemsize)
            for path in paths
        ]
        ends = tf.constant(lengths, tf.int64)[:, None]

        def window(index: tf.Tensor, *records: tf.Tensor, ends: tf.Tensor = ends) -> Window:
            data = tf.strings.substr(tf.stack(records), HEADER_BYTES, record["tokens"].itemsize)
            tokens = tf.cast(tf.io.decode_raw(data, stored), tf.int32)
            tokens = tf.ensure_shape(tokens, [len(records), length + 1])
            positions = index * length + tf.range(length, dtype=tf.int64)
            inputs = tokens[:, :-1]
            return Window(inputs, tokens[:, 1:], inputs == reader.end, tf.cast(positions < ends, tf.float32))

        indices = tf.data.Dataset.range(start, stop)
        groups.append(tf.data.Dataset.zip((indices, *lanes)).map(window, num_parallel_calls=tf.data.AUTOTUNE))
    return functools.reduce(lambda before, group: before.concatenate(group), groups).prefetch(tf.data.AUTOTUNE)
