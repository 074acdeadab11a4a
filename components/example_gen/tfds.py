"""TensorFlow Datasets to documents: `tfds:NAME[/CONFIG][:VERSION]`, an example a record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from components.example_gen.blocks import is_remote
from components.example_gen.groups import GROUP_BYTES, Piece
from components.example_gen.parsed import Event, not_utf8
from components.example_gen.records import RecordError, to_document
from components.example_gen.sources import InputFile, digest
from components.example_gen.split_names import split_code_in
from components.heavy_imports import import_quietly
from pipeline.config import FieldsConfig


def prepared(name: str, data_dir: str | None) -> Any:
    """Returns the builder of a data set, downloaded and prepared if it was not.

    Args:
        name: As `tfds.builder` takes it.
        data_dir: Where data sets are kept; None for TFDS's default.

    Raises:
        ValueError: TFDS does not know it, or cannot prepare it.
    """
    tfds = import_quietly("tensorflow_datasets")
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        if not builder.is_prepared():
            import_quietly("tensorflow")  # a data set's own code imports it, and not quietly
            # Array records are read at random without TensorFlow. Beam's own default runner downloads a binary.
            config = tfds.download.DownloadConfig(beam_runner="FnApiRunner")
            builder.download_and_prepare(file_format="array_record", download_config=config)
    except Exception as error:  # whatever a data set's own code raises
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ValueError(
            f"ExampleGen: TFDS must know a data set and be able to prepare it. Received: source='tfds:{name}', "
            f"data_dir={data_dir!r}: {said.rstrip('.')}. Check the name, or prepare it yourself with `tfds build`."
        ) from error
    return builder


def state(builder: Any) -> str:
    """SHA-256 of what a prepared data set is: name, config, version, and each split's size and files.

    Only once it is prepared is any of this known but the name, so a data set is prepared before it is fingerprinted.
    """
    total = hashlib.sha256(builder.info.full_name.encode())
    for split, info in builder.info.splits.items():
        total.update(f" {split} {info.num_examples} ".encode())
        paths = [str(path) for path in info.filepaths]
        files = [
            InputFile(path.rpartition("/")[2], path, 0) for path in paths if is_remote(path) or Path(path).is_file()
        ]
        total.update(digest(files).encode())
    return total.hexdigest()


def example_pieces(builder: Any, *, only_named: bool) -> Iterator[tuple[Piece, int]]:
    """Yields ranges of examples, and about how many bytes each is.

    Args:
        builder: Of a prepared data set.
        only_named: Whether to leave out splits whose name is none of train, eval and test, or another name of these,
            if there are others.
    """
    splits = builder.info.splits
    named = [split for split in splits if split_code_in(split) is not None] if only_named else []
    for split in named or splits:
        info = splits[split]
        example_bytes = max(info.num_bytes // max(info.num_examples, 1), 1)
        step = max(GROUP_BYTES // example_bytes, 1)
        for start in range(0, info.num_examples, step):
            stop = min(start + step, info.num_examples)
            yield Piece(split, split, start, stop), (stop - start) * example_bytes


def read_examples(
    dataset: str, data_dir: str | None, split: str, start: int, stop: int, fields: FieldsConfig
) -> Iterator[Event]:
    """Reads a range of the examples of a split, numbered from 1 in the split; offsets count examples.

    Array records, which `prepared` makes, are read without TensorFlow. A data set that was prepared in another format
    needs it: TFDS reads TFRecords with tf.data alone.

    Args:
        dataset: Name for `tfds.builder`.
        data_dir: As in `prepared`.
        split: Its name.
        start: First example.
        stop: The one after the last.
        fields: Which feature is what.
    """
    tfds = import_quietly("tensorflow_datasets")
    builder = tfds.builder(dataset, data_dir=data_dir)
    for position, example in enumerate(_examples(tfds, builder, f"{split}[{start}:{stop}]"), start):
        try:
            record = _plain(example, builder.info.features, fields.array)
            yield to_document(record, fields, position + 1, position)
        except UnicodeDecodeError as error:
            yield not_utf8(error, position - error.start, None)
        except RecordError as error:
            yield error.at(position, None)


def _examples(tfds: Any, builder: Any, instruction: str) -> Iterator[Mapping[str, Any]]:
    try:
        source = builder.as_data_source(split=instruction)
    except NotImplementedError:  # the format allows no random access
        # One file after the other: the order must not depend on where a range begins.
        order = tfds.ReadConfig(interleave_cycle_length=1)
        yield from tfds.as_numpy(builder.as_dataset(split=instruction, shuffle_files=False, read_config=order))
        return
    for position in range(len(source)):
        yield source[position]


def array_dtype(feature: Any) -> str:
    """NumPy's name of the numbers of a feature.

    Raises:
        ValueError: It is none of numbers.
    """
    if type(feature).__name__ == "Sequence":
        return array_dtype(feature.feature)
    dtype = np.dtype(getattr(feature, "np_dtype", None) or object)
    if dtype.kind not in "biuf":
        raise ValueError(
            f"ExampleGen: example_gen.fields.array must name a feature of numbers. Received: a feature of type "
            f"{type(feature).__name__}. Name an image, a video, a tensor or a sequence of numbers."
        )
    return "uint8" if dtype.kind == "b" else dtype.name


def feature_named(builder: Any, name: str) -> Any:
    """A feature of a data set by its name, `a.b` for b inside a.

    Raises:
        ValueError: There is none.
    """
    features = feature = builder.info.features
    try:
        for part in [name] if name in features else name.split("."):
            feature = feature[part]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"ExampleGen: example_gen.fields.array must name a feature of the data set. Received: {name!r}. It has "
            f"{', '.join(map(repr, features))}."
        ) from error
    return feature


_LEFT_OUT = object()


def _plain(value: Any, feature: Any, array: str | None = None) -> Any:
    """A feature as JSON values: labels by name; images, sounds and other tables of numbers are left out.

    Args:
        value: Its value.
        feature: What it is.
        array: The feature inside it that stays an array: its name, or `a.b` for b inside a.
    """
    kind = type(feature).__name__
    if kind in ("Image", "Video", "Audio"):
        return _LEFT_OUT
    if kind == "Sequence":
        feature = feature.feature
    if isinstance(value, Mapping):
        plain = {}
        for name, inner in value.items():
            if name == array:
                plain[name] = np.asarray(inner, array_dtype(feature[name]))
            else:
                outer, _, rest = (array or "").partition(".")
                plain[name] = _plain(inner, feature[name], rest if rest and outer == name else None)
        return {name: inner for name, inner in plain.items() if inner is not _LEFT_OUT}
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1):
        return [_plain(item, feature) for item in value]
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return _plain(value[()], feature)
    if kind == "ClassLabel":
        return feature.int2str(int(value)) if value >= 0 else None  # -1: it has none
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value != value:
        return None
    return value if value is None or isinstance(value, str | bool | int | float) else _LEFT_OUT
