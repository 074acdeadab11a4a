"""Groups: every byte of a corpus is read once, whatever the sizes of its files."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen import groups
from components.example_gen.groups import Job, Piece, bytes_of_text, file_pieces, make_groups
from components.example_gen.sources import InputFile
from pipeline.config import FieldsConfig


def files_of(sizes: list[int], suffix: str = ".txt") -> list[InputFile]:
    return [InputFile(f"{i:03}{suffix}", f"/corpus/{i:03}{suffix}", size) for i, size in enumerate(sizes)]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.sampled_from(["line", "jsonl", "file", "csv"]))
@settings(max_examples=100, deadline=None)
def test_groups_of_any_files_cover_each_byte_once_in_order(sizes: list[int], layout: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "GROUP_BYTES", 10)
        patch.setattr(groups, "_GROUP_FILES", 3)
        made = list(make_groups(file_pieces(files_of(sizes), layout)))
    assert [group.number for group in made] == list(range(len(made)))
    assert all(0 < len(group.pieces) <= 3 for group in made)
    covered = [
        (piece.id, byte)
        for group in made
        for piece in group.pieces
        for byte in range(piece.start, sizes[int(piece.id[:3])] if piece.stop is None else piece.stop)
    ]
    assert covered == [(f"{i:03}.txt", byte) for i, size in enumerate(sizes) for byte in range(size)]
    divided = [piece for group in made for piece in group.pieces if piece.stop is not None]
    assert bool(divided) == (layout in ("line", "jsonl") and max(sizes) > 10)


def test_file_pieces_compressed_file_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUP_BYTES", 10)
    assert list(file_pieces(files_of([35], ".gz"), "line")) == [(Piece("000.gz", "/corpus/000.gz"), 35)]
    assert len(list(file_pieces(files_of([35]), "line"))) == 4


@pytest.mark.parametrize(
    ("layout", "fields", "numbered"),
    [
        ("file", FieldsConfig(), False),
        ("line", FieldsConfig(), True),
        ("jsonl", FieldsConfig(), True),
        ("jsonl", FieldsConfig(id="key"), False),
    ],
)
def test_job_numbers_documents_that_have_no_name(layout: str, fields: FieldsConfig, numbered: bool) -> None:
    assert Job("/staging", layout, fields).numbered is numbered


@pytest.mark.parametrize(
    ("layout", "names", "expected"),
    [
        ("file", ["a.txt", "b.txt"], 300),
        ("line", ["a.txt", "b.txt"], 300),
        ("separator", ["a.txt", "b.txt"], 300),
        ("file", ["a.txt", "b.txt.gz"], 0),  # what it will be unpacked is not known
        ("markdown", ["a.md", "b.md"], 0),  # nor how much is marks
        ("jsonl", ["a.jsonl", "b.jsonl"], 0),
    ],
)
def test_bytes_of_text_are_known_of_plain_files_of_text(layout: str, names: list[str], expected: int) -> None:
    pieces = [(Piece(name, name), size) for name, size in zip(names, (100, 200), strict=True)]
    assert bytes_of_text(pieces, layout) == expected
