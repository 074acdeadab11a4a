"""Documents on disk: however they are written, in one piece or many, the files are the same."""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.documents import (
    Documents,
    DocumentWriter,
    Feature,
    digests_of,
    read_features,
    to_bytes,
    to_line,
    write_features,
)

TEXTS = ["", "hello", "é𝄞\n", "", "x" * 1000, "hello"]


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_one_by_one(folder: Path, texts: list[str]) -> dict[str, bytes]:
    folder.mkdir()
    with DocumentWriter(folder) as writer:
        for number, text in enumerate(texts):
            writer.write(text.encode(), len(text), {"id": f"d{number}"})
    return everything(folder)


def test_documents_round_trip(tmp_path: Path) -> None:
    write_one_by_one(tmp_path / "d", TEXTS)
    documents = Documents(tmp_path / "d")
    assert [documents.read(i) for i in range(len(documents))] == TEXTS
    assert [fields["id"] for fields in documents.fields()] == [f"d{i}" for i in range(len(TEXTS))]
    assert documents.offsets.tolist()[:4] == [[0, 0], [0, 0], [5, 5], [12, 8]]
    assert documents.digests.tolist() == [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") for text in TEXTS
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=9), st.data())
@settings(max_examples=60, deadline=None)
def test_document_writer_parts_and_batches_write_the_same_files(texts: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reference = write_one_by_one(Path(folder) / "one", texts)
        (Path(folder) / "many").mkdir()
        with DocumentWriter(Path(folder) / "many") as writer:
            number = 0
            while number < len(texts):
                if data.draw(st.booleans()):  # something that is taken back leaves no trace
                    writer.append("junk é".encode(), 6)
                    writer.take_back()
                if data.draw(st.booleans()):
                    cut = data.draw(st.integers(0, len(texts[number])))
                    for part in (texts[number][:cut], texts[number][cut:]):
                        writer.append(part.encode(), len(part))
                    writer.end(to_line({"id": f"d{number}"}))
                    number += 1
                else:
                    batch = texts[number : number + data.draw(st.integers(0, 3))]
                    raw = [text.encode() for text in batch]
                    lengths = np.array([(len(r), len(t)) for r, t in zip(raw, batch, strict=True)]).reshape(-1, 2)
                    digests = digests_of(b"".join(raw), np.cumsum(lengths[:, 0]).tolist())
                    lines = b"".join(to_line({"id": f"d{number + i}"}) for i in range(len(batch)))
                    writer.write_many(raw, lengths, digests, lines)
                    number += len(batch)
            writer.append(b"never ended", 11)
        assert everything(Path(folder) / "many") == reference


def test_to_line_half_a_surrogate_pair_is_refused() -> None:
    assert json.loads(to_line({"id": "\U0001d11e"})) == {"id": "\U0001d11e"}  # guard: a whole one is fine
    with pytest.raises(UnicodeEncodeError):
        to_line({"id": "\ud834"})


FEATURES = {
    "array": Feature("array", "int16", (None, 2)),
    "label": Feature("class"),
}
ARRAYS = [np.array(rows, np.int16) for rows in ([[1, 2], [3, 4], [5, 6]], [[-7, 8]], [[9, 10], [11, 12]])]


def write_arrays(folder: Path, arrays: list[np.ndarray], texts: list[str]) -> Documents:
    folder.mkdir()
    with DocumentWriter(folder, arrays=True) as writer:
        for number, (array, text) in enumerate(zip(arrays, texts, strict=True)):
            writer.write(text.encode(), len(text), {"id": f"d{number}"}, array)
    return Documents(folder)


def test_features_round_trip(tmp_path: Path) -> None:
    assert read_features(tmp_path) == {"text": Feature("text")}  # an artifact that does not say
    write_features(tmp_path, FEATURES)
    assert read_features(tmp_path) == FEATURES
    assert json.loads((tmp_path / "features.json").read_text()) == {
        "array": {"kind": "array", "dtype": "int16", "shape": [None, 2]},
        "label": {"kind": "class"},
    }


def test_documents_arrays_of_different_lengths_round_trip(tmp_path: Path) -> None:
    documents = write_arrays(tmp_path / "d", ARRAYS, ["", "one", ""])
    for number, array in enumerate(ARRAYS):
        found = documents.array(number, FEATURES["array"])
        assert found.dtype == np.int16
        np.testing.assert_array_equal(found, array)
    assert documents.array_starts.tolist() == [0, 12, 16, 24]
    assert (tmp_path / "d/arrays.bin").read_bytes()[:4] == b"\x01\x00\x02\x00"
    assert documents.read(1) == "one"


def test_documents_arrays_in_another_order_of_bytes_are_the_same_files(tmp_path: Path) -> None:
    write_arrays(tmp_path / "little", ARRAYS, ["", "", ""])
    swapped = [np.asfortranarray(array.astype(">i2")) for array in ARRAYS]
    write_arrays(tmp_path / "big", swapped, ["", "", ""])
    assert everything(tmp_path / "big") == everything(tmp_path / "little")


def test_digests_are_of_text_and_array(tmp_path: Path) -> None:
    documents = write_arrays(tmp_path / "d", [ARRAYS[0], ARRAYS[1], ARRAYS[0], ARRAYS[0]], ["", "", "", "a"])
    first, other, again, with_text = documents.digests.tolist()
    assert first == again
    assert len({first, other, with_text}) == 3


def test_document_writer_many_arrays_at_once_are_the_same_files(tmp_path: Path) -> None:
    texts = ["", "é", "abc"]
    write_arrays(tmp_path / "one", ARRAYS, texts)
    (tmp_path / "many").mkdir()
    raw, arrays = [text.encode() for text in texts], [to_bytes(array) for array in ARRAYS]
    with DocumentWriter(tmp_path / "many", arrays=True) as writer:
        writer.write_many(
            raw,
            np.array([[0, 0], [2, 1], [3, 3]]),
            digests_of(b"".join(raw), [0, 2, 5], arrays),
            b"".join(to_line({"id": f"d{number}"}) for number in range(3)),
            [b"".join(arrays)],
            [12, 4, 8],
        )
    assert everything(tmp_path / "many") == everything(tmp_path / "one")


def test_document_writer_a_document_without_its_array_is_refused(tmp_path: Path) -> None:
    with DocumentWriter(tmp_path, arrays=True) as writer, pytest.raises(ValueError, match="must have an array"):
        writer.write(b"a", 1, {"id": "x"})
