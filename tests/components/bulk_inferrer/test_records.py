"""Records of files: which there are, what they are called, and how they are divided."""

from pathlib import Path

import pytest

from components.bulk_inferrer import records
from components.bulk_inferrer.records import Bad, Layout, Record, divide, read
from components.example_gen import lines

LINES = Layout(field=None, key=None, longest=10)
OBJECTS = Layout(field="a.b", key="id", longest=10)


def read_all(path: Path, layout: Layout) -> list[Record | Bad]:
    return [record for shard in divide([str(path)]) for piece in shard for record in read(piece, layout)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of two lines, so that a few make several."""
    monkeypatch.setattr(records, "LINES_OF_A_PIECE", 2)


@pytest.mark.usefixtures("small")
def test_read_lines_keeps_text_and_number_of_each(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone \n\ntwö\r\n\r\r\n".encode() + b"b\xe4d\nlonger than ten\nend")
    name = str(path)
    assert read_all(path, LINES) == [
        Record(f"{name}:1", "one ", name, 1),
        Record(f"{name}:2", "", name, 2),
        Record(f"{name}:3", "twö", name, 3),
        Record(f"{name}:4", "\r", name, 4),
        Bad(name, 5, "a document must be UTF-8: byte 0xe4 (invalid continuation byte)"),
        Bad(name, 6, "a record must have 10 bytes at most: it has 15"),
        Record(f"{name}:7", "end", name, 7),
    ]


@pytest.mark.usefixtures("small")
def test_read_objects_takes_field_and_key_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        '{"id": "x", "a": {"b": "one"}}',
        "",
        '{"id": 7, "a": {"b": ""}}',
        '{"id": "y", "a": 3}',
        '{"id": "z", "a": {"b": 4}}',
        '["a"]',
        '{"id": "w", "a": {"b": "end"}}',
    ]
    path.write_text("\n".join(rows))
    name = str(path)
    found = read_all(path, OBJECTS)
    assert [record for record in found if isinstance(record, Record)] == [
        Record("x", "one", name, 1),
        Record("7", "", name, 3),
        Record("w", "end", name, 7),
    ]
    reasons = {record.line: record.reason for record in found if isinstance(record, Bad)}
    assert list(reasons) == [4, 5, 6]
    assert "must have the field 'a.b'" in reasons[4]
    assert "must be text" in reasons[5]
    assert "must be a JSON object" in reasons[6]
    without_key = read_all(path, Layout("a.b", None, 10))
    assert [record.key for record in without_key if isinstance(record, Record)] == [f"{name}:{n}" for n in (1, 3, 7)]


@pytest.mark.usefixtures("small")
def test_read_line_longer_than_any_record_is_bad_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_RECORD", 20)
    path = tmp_path / "a.txt"
    path.write_text("a\n" + "b" * 50 + "\nc\nd\n" + "e" * 50)
    found = read_all(path, LINES)
    assert [record.line for record in found] == [1, 2, 3, 4, 5]
    assert [isinstance(record, Bad) for record in found] == [False, True, False, False, True]


def test_divide_covers_every_line_once_in_order_in_shards_that_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LINES_OF_A_PIECE", 3)
    monkeypatch.setattr(records, "_SHARDS", 4)
    paths = []
    for name, count in {"a": 7, "empty": 0, "b": 1, "c": 30}.items():
        path = tmp_path / name
        path.write_text("".join(f"{name}{i}\n" for i in range(count)))
        paths.append(str(path))
    shards = divide(paths)
    found = [record for shard in shards for piece in shard for record in read(piece, LINES)]
    expected = [f"a{i}" for i in range(7)] + ["b0"] + [f"c{i}" for i in range(30)]
    assert [record.text for record in found if isinstance(record, Record)] == expected
    sizes = [sum(piece.lines for piece in shard) for shard in shards]
    assert max(sizes) == 12  # 38 lines, 3 a piece, 4 shards wanted: 4 pieces a shard
    assert len(shards) == 4
    assert divide(paths[1:2]) == [[]]
