"""Documents on disk: however they are written, in one piece or many, the files are the same."""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.documents import Documents, DocumentWriter, digests_of, to_line

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
