"""Transform of documents with features: literal examples in and out, any shard size and runner."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.transform.examples import Examples
from components.transform.graph import load_classes, load_scaling
from components.transform.manifest import FeatureInfo, Manifest
from components.transform.tokenizers import WordTokenizer, load
from tests.components.transform.featured import EVAL, FEATURES, SMALL, TRAIN, transform
from tests.components.transform.reference import (
    Transformed,
    everything,
    parse_tfrecord,
    run_transform,
    tokens,
    write_features,
)
from tests.processes import workers_started_by


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    """All features, in shards of a document or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.transform.feature_passes.SHARD_BYTES", SMALL)
        return transform(tmp_path_factory.mktemp("features"), target={"tokenizer": "word"})


def records(result: Transformed, feature: str, split: str = "train") -> list[bytes]:
    paths = sorted((result.examples / f"Split-{split}").glob(f"{feature}-*.tfrecord"))
    return [record for path in paths for record in parse_tfrecord(path)]


def test_graph_holds_both_tokenizers_classes_and_scaling(result: Transformed) -> None:
    names = ("tokenizer.json", "vocabulary.tsv")
    assert set(everything(result.graph)) == {
        *names,
        *(f"target/{n}" for n in names),
        "label.txt",
        "tags.txt",
        "array.json",
        "features.json",
    }
    assert load(result.graph).tokens == ["<end>", "<unk>", "<pad>", *" abcgié"]
    target = load(result.graph / "target")
    assert isinstance(target, WordTokenizer)
    assert target.tokens == ["<end>", "<unk>", "<pad>", "ein", "taxi", "bé", "das"]
    assert (result.graph / "label.txt").read_bytes() == "down\nup\né\n".encode()
    assert load_classes(result.graph, "label") == ["down", "up", "é"]
    assert load_classes(result.graph, "tags") == ["D", "J", "N"]
    mean, std = load_scaling(result.graph)
    column = [1, 3, 8, -2, 0, 5]
    np.testing.assert_allclose(mean, [np.mean(column), 9], rtol=1e-14)
    np.testing.assert_allclose(std, [np.std(column), 1], rtol=1e-14)  # the second column is a constant
    assert (mean.dtype, std.dtype) == (np.float64, np.float64)


def test_records_are_the_features_as_numbers(result: Transformed) -> None:
    ids = {character: 3 + i for i, character in enumerate(" abcgié")}
    words = {"ein": 3, "taxi": 4, "bé": 5, "das": 6}
    assert [[*record] for record in records(result, "tokens")] == [[ids[c] for c in d["text"]] for d in TRAIN]
    assert [[*record] for record in records(result, "label")] == [[1], [0], [1], [2]]
    assert [[*record] for record in records(result, "tags")] == [[0, 1, 2], [], [0, 2], [2]]
    assert [[*record] for record in records(result, "target")] == [
        [words[w] for w in d["target"].split()] for d in TRAIN
    ]
    assert [np.frombuffer(record, "<f4").tolist() for record in records(result, "value")] == [[1.5], [-2], [0], [3.25]]
    arrays = [np.frombuffer(record, "<f4").reshape(-1, 2).tolist() for record in records(result, "array")]
    assert arrays == [document["array"] for document in TRAIN]
    # <unk>: x is not in train, nor is z
    assert [[*record] for record in records(result, "tokens", "eval")] == [[1, ids["a"], ids[" "], ids["b"]]]
    assert [[*record] for record in records(result, "target", "eval")] == [[3, 1]]


def test_manifest_says_how_each_feature_is_stored(result: Transformed) -> None:
    manifest = Manifest.load(result.examples)
    assert manifest.features == {
        "tokens": FeatureInfo("tokens", "uint8", 10),
        "label": FeatureInfo("class", "uint8", 3),
        "tags": FeatureInfo("classes", "uint8", 3),
        "target": FeatureInfo("tokens", "uint8", 7),
        "value": FeatureInfo("number", "float32"),
        "array": FeatureInfo("array", "float32", shape=(None, 2)),
    }
    assert (manifest.records, manifest.vocabulary_size, manifest.dtype) == ("examples", 10, "uint8")
    train, held_out = manifest.splits["train"], manifest.splits["eval"]
    characters = sum(len(document["text"]) for document in TRAIN)
    assert (train.documents, train.characters, train.tokens, train.unknown) == (4, characters, characters, 0)
    assert (train.lanes, train.predictions) == (0, 0)
    assert (held_out.tokens, held_out.unknown, held_out.unknown_rate) == (4, 1, 0.25)


def test_files_are_shards_of_each_feature_and_the_fields(result: Transformed) -> None:
    files = set(everything(result.examples / "Split-train"))
    count = len([name for name in files if name.startswith("tokens-") and name.endswith(".npy")])
    assert count > 2  # guard
    assert files == {"documents.jsonl"} | {
        f"{feature}-{shard:05d}-of-{count:05d}.{end}"
        for feature in ("tokens", "label", "tags", "target", "value", "array")
        for shard in range(count)
        for end in ("tfrecord", "npy")
    }
    lines = (result.examples / "Split-train" / "documents.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"train-{i}" for i in range(4)]


def test_examples_read_back_what_was_given(result: Transformed) -> None:
    examples = Examples(result.examples, "train")
    tokenizer, labels = load(result.graph), load_classes(result.graph, "label")
    seen = []
    for batch in examples.batches(3, seed=0):
        for row, i in enumerate(batch.examples.tolist()):
            if i >= 0:
                seen.append(i)
                length = batch.lengths["tokens"][row]
                assert tokenizer.decode(batch.features["tokens"][row, :length]) == TRAIN[i]["text"]
                assert labels[batch.features["label"][row]] == TRAIN[i]["label"]
                array = batch.features["array"][row, : batch.lengths["array"][row]]
                assert array.tolist() == TRAIN[i]["array"]
    assert sorted(seen) == [0, 1, 2, 3]


def test_shard_size_changes_no_example(tmp_path: Path, result: Transformed) -> None:
    whole = transform(tmp_path, target={"tokenizer": "word"})
    assert len(everything(whole.examples)) < len(everything(result.examples))  # guard
    for feature in Manifest.load(whole.examples).features:
        assert records(whole, feature) == records(result, feature)
    exact = set(everything(whole.graph)) - {"array.json"}  # sums of other parts may differ in the last bits
    assert {name: everything(whole.graph)[name] for name in exact} == {
        name: everything(result.graph)[name] for name in exact
    }
    for a, b in zip(load_scaling(whole.graph), load_scaling(result.graph), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    documents = [
        {
            "text": " ".join(random.choice(["ab", "c", "dé"], n)),
            "tags": random.choice(["X", "Y", "Z"], n).tolist(),
            "label": str(random.choice(["l", "m"])),
            "target": "".join(random.choice([*"ab c"], 9)),
            "value": float(random.normal()),
            "array": random.normal(100, 7, (n, 2)),
        }
        for n in (1 + random.integers(0, 9, 120))
    ]
    examples = write_features(tmp_path / "examples", FEATURES, {"train": documents, "eval": documents[:9]})
    code = f"""
        from pathlib import Path
        from components.transform import feature_passes
        from pipeline.config import BeamConfig
        from tests.components.transform.reference import run_transform

        feature_passes.SHARD_BYTES = 500
        {{beam}}
        run_transform(Path({str(examples)!r}), Path({{folder!r}}), records="examples", **settings)
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.transform.feature_passes.SHARD_BYTES", 500)
        one = run_transform(examples, tmp_path / "one", records="examples")
    beam = "settings = dict(beam=BeamConfig(direct_num_workers=2, direct_running_mode='multi_processing'))"
    assert workers_started_by(code.format(beam=beam, folder=str(tmp_path / "two"))) == 4
    assert len(everything(one.examples)) > 100  # guard: several shards
    assert everything(one.graph) == everything(tmp_path / "two" / "transform_graph")
    assert everything(one.examples) == everything(tmp_path / "two" / "transformed_examples")


# ---- Choices --------------------------------------------------------------------------------------------------------


def test_target_null_has_the_settings_of_the_text_and_its_own_vocabulary(tmp_path: Path) -> None:
    result = transform(tmp_path, lowercase=True, min_count=2)
    text, target = load(result.graph), load(result.graph / "target")
    assert (target.kind, target.options, target.specials) == (text.kind, text.options, text.specials)
    assert "".join(target.tokens[3:]) == " aeintx"  # d, s, b and é come once
    assert "".join(text.tokens[3:]) == " abcé"


def test_target_of_byte_pairs_is_learnt_from_the_targets(tmp_path: Path) -> None:
    result = transform(tmp_path, target={"tokenizer": "bpe", "vocabulary_size": 262})
    target = load(result.graph / "target")
    assert target.kind == "bpe"
    assert b"in" in target.symbols or b"ein" in target.symbols or b"ax" in target.symbols  # "taxi" and "ein" come twice
    ids = [
        tokens(record, Manifest.load(result.examples).features["target"].dtype) for record in records(result, "target")
    ]
    assert [target.decode(row) for row in ids] == [document["target"] for document in TRAIN]
    assert len(ids[0]) < len(TRAIN[0]["target"])


def test_tags_of_words_are_as_many_as_the_tokenizer_s_tokens(tmp_path: Path) -> None:
    documents = [{"text": "a  b\nc", "tags": ["1", "2", "3", "4"]}]  # a b \n c
    features = {name: FEATURES[name] for name in ("text", "tags")}
    result = transform(tmp_path, features, {"train": documents, "eval": documents}, tokenizer="word")
    examples = Examples(result.examples, "train")
    assert examples.lengths("tags").tolist() == examples.lengths("tokens").tolist() == [4]


def test_tags_without_text_are_as_many_as_the_array_s_rows(tmp_path: Path) -> None:
    documents = [{"tags": ["1", "2"], "array": [[1, 2], [3, 4]]}, {"tags": [], "array": []}]
    features = {name: FEATURES[name] for name in ("tags", "array")}
    result = transform(tmp_path, features, {"train": documents, "eval": documents})
    assert Examples(result.examples, "eval").lengths("tags").tolist() == [2, 0]
    assert set(everything(result.graph)) == {"tags.txt", "array.json", "features.json"}
    assert Manifest.load(result.examples).vocabulary_size == 0


@pytest.mark.parametrize(
    ("shape", "dtype", "mean"),
    [
        ([2, 3, 1], "uint8", lambda arrays: [arrays.mean()]),
        ([None, 2, 3, 1], "int16", lambda arrays: [arrays.mean()]),
        ([6, 3], "float64", lambda arrays: arrays.reshape(-1, 3).mean(axis=0)),
    ],
    ids=["images", "frames", "series"],
)
def test_arrays_keep_type_and_shape_and_are_scaled_by_kind(
    tmp_path: Path, shape: list[Any], dtype: str, mean: Callable[[np.ndarray], Any]
) -> None:
    drawn = np.random.default_rng(0).integers(0, 200, (5, *(n or 4 for n in shape))).astype(dtype)
    documents = [{"array": array} for array in drawn]
    features = {"array": {"kind": "array", "dtype": dtype, "shape": shape}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.transform.feature_counts._BYTES_AT_ONCE", 7)
        result = transform(tmp_path, features, {"train": documents, "eval": documents[:1]})
    np.testing.assert_allclose(load_scaling(result.graph)[0], mean(drawn), rtol=1e-13)
    examples = Examples(result.examples, "train")
    assert examples.features == {"array": FeatureInfo("array", dtype, shape=tuple(shape))}
    (batch,) = examples.in_order(5)
    assert batch.features["array"].dtype == dtype
    np.testing.assert_array_equal(batch.features["array"], drawn)


def test_scaling_is_that_of_train_alone(tmp_path: Path, result: Transformed) -> None:
    splits = {"train": TRAIN, "eval": [*EVAL, *EVAL, EVAL[0] | {"array": [[-1e6, 1e6]]}]}
    other = transform(tmp_path, splits=splits)
    for a, b in zip(load_scaling(other.graph), load_scaling(result.graph), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_lanes_read_the_text_alone(tmp_path: Path) -> None:
    result = transform(tmp_path, records="lanes", lanes=1, window_length=4)
    assert set(everything(result.graph)) == {"tokenizer.json", "vocabulary.tsv"}
    assert Manifest.load(result.examples).features == {}
