"""Ragged records: what is on disk against the naive tokens, and batches by length."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.documents import Documents
from components.transform.examples import ExampleReader, ShardSpec, shard_specs, write_shard
from components.transform.manifest import Manifest, SplitManifest
from components.transform.reader import LaneReader
from components.transform.tokenizers import IDENTITY, CharTokenizer
from tests.components.transform.reference import Transformed, everything, parse_tfrecord, run_transform, write_examples

TOKENIZER = CharTokenizer(("end", "unk"), IDENTITY, "abé𝄞")
IDS = {"a": 2, "b": 3, "é": 4, "𝄞": 5}
TEXTS = ["", "ab" * 9, "é", "a𝄞b", "", "b" * 30, "ab", "xa"]


def transformed(folder: Path, texts: Sequence[str] = TEXTS, **settings: str) -> Transformed:
    examples = write_examples(folder / "examples", {"train": texts, "eval": ["ba?"]})
    return run_transform(examples, folder, records="examples", **settings)


def naive(text: str) -> list[int]:
    return [IDS.get(character, 1) for character in text]


@given(texts=st.lists(st.text("abé𝄞x", max_size=9), max_size=9), size=st.integers(1, 20))
@example(texts=[], size=1)
@example(texts=["", ""], size=3)
@settings(deadline=None)
def test_shards_hold_every_document_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    write_examples(folder, {"train": texts})
    documents = Documents(folder / "Split-train")
    specs = shard_specs("train", documents, size)
    assert [spec.shards for spec in specs] == [len(specs)] * len(specs)
    out = folder / "out" / "Split-train"
    out.mkdir(parents=True)
    written = sum(write_shard(spec, documents, TOKENIZER, out) for spec in specs)
    records = [[*record] for path in sorted(out.glob("*.tfrecord")) for record in parse_tfrecord(path)]
    assert records == [naive(text) for text in texts]
    assert written == sum(map(len, records))

    counts = SplitManifest.of_examples(len(texts), documents.characters, written, 0)
    Manifest(6, 4, "uint8", {"train": counts}, "examples").save(folder / "out")
    reader = ExampleReader(folder / "out", "train")
    assert [reader.tokens(i).tolist() for i in reversed(range(len(reader)))] == records[::-1]


def test_shard_specs_depend_on_the_texts_bytes_alone(tmp_path: Path) -> None:
    write_examples(tmp_path, {"train": ["aaaa", "é", "bb", "", "a"]})
    specs = shard_specs("train", Documents(tmp_path / "Split-train"), 4)
    assert specs == [ShardSpec("train", 0, 3, 0, 1), ShardSpec("train", 1, 3, 1, 3), ShardSpec("train", 2, 3, 3, 5)]
    assert specs[2].file == "examples-00002-of-00003.tfrecord"


def test_stage_examples_are_the_documents_tokens_without_end(tmp_path: Path) -> None:
    result = transformed(tmp_path)
    reader = ExampleReader(result.examples, "train")
    # a b x é 𝄞 are 3 … 7 behind <end>, <unk> and <pad>
    ids = {"a": 3, "b": 4, "x": 5, "é": 6, "𝄞": 7}
    assert [reader.tokens(i).tolist() for i in range(len(reader))] == [[ids[c] for c in text] for text in TEXTS]
    assert ExampleReader(result.examples, "eval").tokens(0).tolist() == [4, 3, 1]
    counts = Manifest.load(result.examples).splits
    assert (counts["train"].tokens, counts["train"].lanes) == (sum(map(len, TEXTS)), 0)
    assert (counts["eval"].unknown, counts["eval"].unknown_rate) == (1, pytest.approx(1 / 3))
    lines = (result.examples / "Split-train" / "documents.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(i) for i in range(len(TEXTS))]


def test_stage_shard_size_changes_no_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = transformed(tmp_path / "whole")
    monkeypatch.setattr("components.transform.stage.SHARD_BYTES", 10)
    small = transformed(tmp_path / "small")
    assert len(everything(small.examples)) > len(everything(whole.examples))
    readers = [ExampleReader(result.examples, "train") for result in (whole, small)]
    assert [[r.tokens(i).tolist() for i in range(len(r))] for r in readers[:1]] == [
        [r.tokens(i).tolist() for i in range(len(r))] for r in readers[1:]
    ]


@pytest.mark.parametrize(("batch_size", "buckets"), [(1, 1), (2, 3), (3, 8), (100, 2)])
def test_batches_hold_every_example_once_in_a_bucket_that_fits(tmp_path: Path, batch_size: int, buckets: int) -> None:
    reader = ExampleReader(transformed(tmp_path).examples, "train")
    lengths = reader.buckets(buckets)
    assert lengths[-1] == 30
    seen: list[int] = []
    for tokens, sizes, examples in reader.batches(batch_size, seed=1, buckets=buckets):
        assert len(tokens) == len(sizes) == len(examples) <= batch_size
        assert tokens.shape[1] in lengths
        assert tokens.shape[1] == min(n for n in lengths if n >= max(sizes))
        for row, size, example_ in zip(tokens, sizes, examples, strict=True):
            np.testing.assert_array_equal(row, np.pad(reader.tokens(example_), (0, len(row) - size)))
        seen += examples.tolist()
    assert sorted(seen) == list(range(len(TEXTS)))


def test_batches_seed_decides_the_order_and_first_goes_on_where_it_stopped(tmp_path: Path) -> None:
    reader = ExampleReader(transformed(tmp_path).examples, "train")
    orders = [[batch.examples.tolist() for batch in reader.batches(2, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert [batch.examples.tolist() for batch in reader.batches(2, 1, first=3)] == orders[0][3:]


def test_batches_more_buckets_are_less_padding(tmp_path: Path) -> None:
    reader = ExampleReader(transformed(tmp_path).examples, "train")
    padding = [sum(b.tokens.size - b.lengths.sum() for b in reader.batches(2, 0, buckets=n)) for n in (1, 4)]
    assert padding[0] > padding[1]


def test_readers_refuse_each_others_records(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be given lanes\. Received: .* with examples\. Set transform\.records="):
        LaneReader(transformed(tmp_path).examples, "train", 0)


def test_reader_shard_of_another_length_is_refused(tmp_path: Path) -> None:
    result = transformed(tmp_path)
    (path,) = (result.examples / "Split-train").glob("*.tfrecord")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"must be as long as its index says.*damaged"):
        ExampleReader(result.examples, "train")
