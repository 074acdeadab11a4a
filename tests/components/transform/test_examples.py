"""Readers of examples: records, and batches by length that hold every example once."""

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.transform.buckets import least_padding
from components.transform.examples import ExampleReader, Examples
from components.transform.manifest import FeatureInfo
from components.transform.reader import LaneReader
from components.transform.stream import read_stream
from tests.testing import stream_of, write_examples

FEATURES = {
    "tokens": FeatureInfo("tokens", "uint16", 700),
    "label": FeatureInfo("class", "uint8", 5),
    "tags": FeatureInfo("classes", "uint8", 9),
    "target": FeatureInfo("tokens", "uint8", 50),
    "value": FeatureInfo("number", "float32"),
    "array": FeatureInfo("array", "int16", shape=(None, 2, 3)),
}
RANDOM = np.random.default_rng(0)
LENGTHS = [4, 0, 17, 3, 4, 9, 1, 30, 4, 9, 2]
ROWS = [
    {
        "tokens": RANDOM.integers(1, 700, n),
        "label": RANDOM.integers(5),
        "tags": RANDOM.integers(1, 9, n),
        "target": RANDOM.integers(1, 50, (3 * n) % 7),
        "value": RANDOM.normal(),
        "array": RANDOM.integers(-999, -1, ((2 * n) % 5, 2, 3)),
    }
    for n in LENGTHS
]


def written(folder: Path, *names: str, shards: int = 3, **others: FeatureInfo) -> Path:
    features = {name: FEATURES[name] for name in names} | others
    rows = [{name: row[name] for name in features} for row in ROWS]
    return write_examples(folder / "x", features, {"train": rows, "eval": rows[:2]}, shards)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("examples"), *FEATURES)


@pytest.fixture(scope="module")
def examples(folder: Path) -> Examples:
    return Examples(folder, "train")


# ---- One feature ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feature", FEATURES)
def test_reader_gives_every_record_in_its_shape_and_type(folder: Path, feature: str) -> None:
    reader = ExampleReader(folder, "train", feature)
    assert len(reader) == len(ROWS)
    for i in reversed(range(len(ROWS))):
        numbers = reader.read(i)
        assert (numbers.dtype, numbers.shape) == (FEATURES[feature].dtype, np.shape(ROWS[i][feature]))
        np.testing.assert_array_equal(numbers, np.asarray(ROWS[i][feature]).astype(numbers.dtype))
    scalar = FEATURES[feature].is_scalar
    assert reader.lengths.tolist() == [1 if scalar else len(row[feature]) for row in ROWS]


def test_reader_scalars_are_all_at_once(folder: Path) -> None:
    assert ExampleReader(folder, "train", "label").scalars().tolist() == [row["label"] for row in ROWS]
    values = ExampleReader(folder, "train", "value").scalars()
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.asarray([row["value"] for row in ROWS], np.float32))


def test_reader_scalars_of_a_ragged_feature_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"must have one number an example\. Received: kind='classes'"):
        ExampleReader(folder, "train", "tags").scalars()


def test_reader_unknown_feature_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"must be one of tokens, label, .* Received: feature='tokenz'"):
        ExampleReader(folder, "train", "tokenz")


def test_reader_shard_of_another_length_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, "tokens", shards=1)
    (path,) = (folder / "Split-train").glob("*.tfrecord")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"must be as long as its index says.*damaged"):
        ExampleReader(folder, "train")


def test_readers_refuse_each_others_records(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"must be given lanes\. Received: .* with examples\. Set transform\.records="):
        LaneReader(folder, "train", 0)


def test_read_stream_is_the_examples_with_end_around_them(folder: Path) -> None:
    documents = [row["tokens"].tolist() for row in ROWS]
    np.testing.assert_array_equal(read_stream(folder, "train", 0), stream_of(documents, 0))


# ---- Batches of all features ----------------------------------------------------------------------------------------


def test_examples_lengths_and_fields(examples: Examples) -> None:
    assert len(examples) == len(ROWS)
    assert examples.features == FEATURES
    assert examples.lengths("tokens").tolist() == LENGTHS
    assert [fields["id"] for fields in examples.fields()] == [f"train-{i}" for i in range(len(ROWS))]


Batches = Callable[[Examples, int, int], list]
WAYS: dict[str, Batches] = {
    "batches": lambda examples, size, buckets: [*examples.batches(size, seed=1, buckets=buckets)],
    "in_order": lambda examples, size, buckets: [*examples.in_order(size, buckets)],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("batch_size", "buckets"), [(1, 1), (2, 3), (3, 8), (100, 2)])
def test_batches_hold_every_example_once_padded_to_its_bucket(
    examples: Examples, way: str, batch_size: int, buckets: int
) -> None:
    batches = WAYS[way](examples, batch_size, buckets)
    members: dict[tuple[int, ...], list[int]] = defaultdict(list)
    seen: list[int] = []
    for features, lengths, weights, numbers in batches:
        real = numbers >= 0
        assert len(weights) == len(numbers) == batch_size
        assert {name: len(column) for name, column in features.items()} == dict.fromkeys(FEATURES, batch_size)
        np.testing.assert_array_equal(weights, real.astype(np.float32))
        members[tuple(features[name].shape[1] for name in ("tokens", "target"))] += numbers[real].tolist()
        for row, i in enumerate(numbers.tolist()):
            for name, column in features.items():
                expected = np.zeros_like(column[row])
                if i >= 0 and name in lengths:
                    assert lengths[name][row] == len(ROWS[i][name])
                    expected[: lengths[name][row]] = ROWS[i][name]
                elif i >= 0:
                    expected = np.asarray(ROWS[i][name], column.dtype)
                np.testing.assert_array_equal(column[row], expected)
        assert {name: column[~real].tolist() for name, column in lengths.items()} == dict.fromkeys(
            ("tokens", "tags", "target", "array"), [0] * int((~real).sum())
        )
        seen += numbers[real].tolist()
    assert sorted(seen) == list(range(len(ROWS)))
    assert len(members) <= buckets
    for widths, those in members.items():
        longest = tuple(max(len(ROWS[i][name]) for i in those) for name in ("tokens", "target"))
        assert widths == tuple(max(n, 1) for n in longest)
    assert len(batches) == examples.batch_count(batch_size, buckets)


def test_batches_have_one_type_each_and_one_shape_a_bucket(examples: Examples) -> None:
    batches = [*examples.batches(2, seed=1, buckets=4)]
    types = {name: column.dtype.name for name, column in batches[0].features.items()}
    integers = dict.fromkeys(("tokens", "label", "tags", "target"), "int32")
    assert types == integers | {"value": "float32", "array": "int16"}
    assert {array.dtype.name for array in batches[0].lengths.values()} == {"int32"}
    assert (batches[0].weights.dtype.name, batches[0].examples.dtype.name) == ("float32", "int64")
    shapes = {tuple(sorted((n, c.shape) for n, c in batch.features.items())) for batch in batches}
    assert len(shapes) == 4 < len(batches)


def test_batches_seed_decides_the_order_and_first_goes_on_where_it_stopped(examples: Examples) -> None:
    orders = [[batch.examples.tolist() for batch in examples.batches(2, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert [batch.examples.tolist() for batch in examples.batches(2, 1, first=3)] == orders[0][3:]


def test_batches_more_buckets_are_less_padding(examples: Examples) -> None:
    padding = [sum((b.features["tokens"] == 0).sum() for b in examples.batches(1, 0, buckets=n)) for n in (1, 4)]
    assert padding[0] > padding[1] > 0


def test_in_order_is_by_bucket_then_by_number(examples: Examples) -> None:
    batches = [*examples.in_order(4, buckets=2, features=["tokens"])]
    # Padded to 9 and 30: 9 · 9 + 2 · 30 timesteps.
    assert [batch.examples.tolist() for batch in batches] == [
        [0, 1, 3, 4],
        [5, 6, 8, 9],
        [10, -1, -1, -1],
        [2, 7, -1, -1],
    ]


def test_batches_without_tokens_are_bucketed_by_a_ragged_array(tmp_path: Path) -> None:
    examples = Examples(written(tmp_path, "label", "array"), "train")
    # 1 1 1 2 2 3 3 3 3 4 4, but for a length of 0 that counts as 1: padded to 2 and 4, say.
    lengths = np.maximum([len(row["array"]) for row in ROWS], 1)
    borders = least_padding(lengths, 2)
    (first, *_) = examples.in_order(3, buckets=2)
    assert first.features["array"].shape == (3, borders[0], 2, 3)
    assert borders[0] < borders[1] == lengths.max()
    assert set(first.lengths) == {"array"}


def test_batches_are_bucketed_by_what_is_written_if_it_is_read(examples: Examples) -> None:
    shapes = [
        {b.features[feature].shape for b in examples.batches(1, 0, buckets=2, features=features)}
        for features, feature in ((["tokens", "target"], "target"), (["tokens"], "tokens"))
    ]
    assert shapes == [{(1, 6)}, {(1, 9), (1, 30)}]


def test_batches_without_a_ragged_input_are_bucketed_by_what_is_written(tmp_path: Path) -> None:
    images = [RANDOM.integers(0, 256, (2, 3, 1)) for _ in ROWS]
    rows = [{"array": image, "target": row["target"]} for image, row in zip(images, ROWS, strict=True)]
    features = {"array": FeatureInfo("array", "uint8", shape=(2, 3, 1)), "target": FEATURES["target"]}
    examples = Examples(write_examples(tmp_path / "x", features, {"train": rows}), "train")
    assert len({batch.features["target"].shape for batch in examples.batches(2, seed=3)}) > 1
    batches = [*examples.batches(4, seed=3, buckets=1)]
    assert len(batches) == examples.batch_count(4, buckets=1) == math.ceil(len(ROWS) / 4)
    longest = max(len(row["target"]) for row in ROWS)
    for batch in batches:
        assert batch.features["array"].shape == (4, 2, 3, 1)
        assert batch.features["array"].dtype == np.uint8
        assert batch.features["target"].shape == (4, longest)
        assert set(batch.lengths) == {"target"}
        for row, i in enumerate(batch.examples):
            expected = images[i] if i >= 0 else np.zeros((2, 3, 1))
            np.testing.assert_array_equal(batch.features["array"][row], expected)


def test_examples_of_an_empty_split_have_no_batch(tmp_path: Path) -> None:
    examples = Examples(write_examples(tmp_path / "x", FEATURES, {"train": []}), "train")
    assert (len(examples), examples.batch_count(2)) == (0, 0)
    assert [*examples.batches(2, 0)] == [*examples.in_order(2)] == []


@pytest.mark.parametrize(("make", "arguments"), [("batches", (4, 1)), ("in_order", (4,))])
def test_batches_of_some_features_read_no_others(
    examples: Examples, monkeypatch: pytest.MonkeyPatch, make: str, arguments: tuple[int, ...]
) -> None:
    wanted = ["label", "tags", "tokens", "target"]
    read: set[str] = set()
    original = Examples.read

    def recorded(self: Examples, feature: str, example: int) -> np.ndarray:
        read.add(feature)
        return original(self, feature, example)

    monkeypatch.setattr(Examples, "read", recorded)

    whole = [*getattr(examples, make)(*arguments)]
    assert read == {"tokens", "tags", "target", "array"}  # guard: all that are not one number
    read.clear()
    some = [*getattr(examples, make)(*arguments, features=wanted)]

    assert read == {"tags", "tokens", "target"}
    for one, other in zip(some, whole, strict=True):
        assert (set(one.features), set(one.lengths)) == (set(wanted), read)
        np.testing.assert_array_equal(one.examples, other.examples)
        for name in wanted:
            np.testing.assert_array_equal(one.features[name], other.features[name])
