"""Ragged records: what is on disk against what was given, and shards that cover every document once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.documents import Documents
from components.transform.shards import ShardSpec, line_starts, shard_specs, write_shard
from tests.components.transform.reference import everything, parse_tfrecord, write_examples

SPEC = ShardSpec("train", 1, 3, first=4, stop=6, line=0)
EXAMPLES = [
    {"tokens": np.asarray([1, 300]), "label": np.asarray(7), "array": np.asarray([[0.5, -2.0]])},
    {"tokens": np.asarray([], np.int32), "label": np.asarray(0), "array": np.zeros((0, 2))},
]
DTYPES = {"tokens": np.dtype("uint16"), "label": np.dtype("uint8"), "array": np.dtype("float32")}


def test_write_shard_writes_a_record_a_document_for_each_feature(tmp_path: Path) -> None:
    sizes = write_shard(SPEC, DTYPES, EXAMPLES, tmp_path)
    assert set(everything(tmp_path)) == {
        f"{name}-00001-of-00003.{end}" for name in DTYPES for end in ("tfrecord", "npy")
    }
    records = {name: parse_tfrecord(tmp_path / f"{name}-00001-of-00003.tfrecord") for name in DTYPES}
    assert records == {
        "tokens": [bytes([1, 0, 0x2C, 1]), b""],  # little-endian: 300 = 0x012C
        "label": [b"\x07", b"\x00"],
        "array": [bytes.fromhex("0000003f000000c0"), b""],
    }
    starts = {name: np.load(tmp_path / f"{name}-00001-of-00003.npy").tolist() for name in DTYPES}
    assert starts == {"tokens": [0, 20, 36], "label": [0, 17, 34], "array": [0, 24, 40]}
    assert sizes == {"tokens": 36, "label": 34, "array": 40}


def test_write_shard_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def examples() -> Iterator[dict[str, np.ndarray]]:
        yield EXAMPLES[0]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_shard(SPEC, DTYPES, examples(), tmp_path)
    assert everything(tmp_path) == {}


def test_write_shard_twice_is_the_same_files(tmp_path: Path) -> None:
    # Beam may run a bundle again.
    write_shard(SPEC, DTYPES, EXAMPLES, tmp_path)
    before = everything(tmp_path)
    write_shard(SPEC, DTYPES, EXAMPLES, tmp_path)
    assert everything(tmp_path) == before


@given(texts=st.lists(st.text("abé𝄞x", max_size=9), max_size=9), size=st.integers(1, 20))
@example(texts=[], size=1)
@example(texts=["", ""], size=3)
@settings(deadline=None)
def test_shard_specs_hold_every_document_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    write_examples(folder, {"train": texts})
    documents = Documents(folder / "Split-train")
    specs = shard_specs("train", documents, documents.offsets[:, 0], size)
    assert [(spec.shard, spec.shards) for spec in specs] == [(i, len(specs)) for i in range(len(specs))]
    assert [n for spec in specs for n in range(spec.first, spec.stop)] == list(range(len(texts)))


def test_shard_specs_depend_on_the_documents_bytes_alone(tmp_path: Path) -> None:
    write_examples(tmp_path, {"train": ["aaaa", "é", "bb", "", "a"]})
    documents = Documents(tmp_path / "Split-train")
    line = len('{"id": "0"}\n')
    assert shard_specs("train", documents, documents.offsets[:, 0], 4) == [
        ShardSpec("train", 0, 3, 0, 1, 0),
        ShardSpec("train", 1, 3, 1, 3, line),
        ShardSpec("train", 2, 3, 3, 5, 3 * line),
    ]


@given(lines=st.lists(st.text("ab é", max_size=5), max_size=12), piece=st.integers(1, 7))
@settings(deadline=None)
def test_line_starts_are_where_the_lines_start(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], piece: int
) -> None:
    path = tmp_path_factory.mktemp("lines") / "lines"
    raw = [f"{line}\n".encode() for line in lines]
    path.write_bytes(b"".join(raw))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.transform.shards._BYTES_AT_ONCE", piece)
        found = line_starts(path, range(len(lines) + 1))
    assert found == [sum(map(len, raw[:i])) for i in range(len(raw) + 1)]
