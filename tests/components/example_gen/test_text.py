"""Plain text to documents, against splitting the whole file at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.example_gen import text
from components.example_gen.blocks import CorruptFile
from components.example_gen.parsed import BadRecord, Batch, Document, End, Event, Part, Total
from components.example_gen.text import markdown_file, separated, whole_file


@dataclass
class Found:
    """What the events add up to: (number, offset, text) of each document, and (offset, line) of each bad record."""

    documents: list[tuple[int, int, str]] = field(default_factory=list)
    bad: list[tuple[int, int | None]] = field(default_factory=list)
    total: int | None = None


def collect(events: Iterator[Event]) -> Found:
    found, parts = Found(), []
    for event in events:
        match event:
            case Batch(raw, lengths, first, offsets):
                position = 0
                for i, (size, characters) in enumerate(lengths.tolist()):
                    document = raw[position : position + size].decode()
                    assert len(document) == characters
                    found.documents.append((first + i, int(offsets[i]), document))
                    position += size
                assert position == len(raw)
            case Part(raw, characters):
                assert len(raw.decode()) == characters
                parts.append(raw)
            case End(number, offset):
                found.documents.append((number, offset, b"".join(parts).decode()))
                parts = []
            case Document(raw, characters, _, number, offset):
                assert len(raw.decode()) == characters
                found.documents.append((number, offset, raw.decode()))
            case BadRecord(offset, line):
                found.bad.append((offset, line))
                parts = []
            case Total(records):
                found.total = records
    assert not parts
    return found


def naive(raw: bytes, separator: bytes, lines: bool) -> Found:
    found = Found(total=0)
    position = 0
    pieces = raw.split(separator)
    if pieces[-1] == b"":
        pieces.pop()
    for number, piece in enumerate(pieces, 1):
        ended = position + len(piece) < len(raw)
        content = piece[:-1] if lines and ended and piece.endswith(b"\r") else piece
        try:
            found.documents.append((number, position, content.decode()))
        except UnicodeDecodeError as error:
            found.bad.append((position + error.start, number if lines else None))
        position += len(piece) + len(separator)
        found.total = number
    return found


def blocks_of(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[start : start + size] for start in range(0, len(raw), size))


messy = st.lists(
    st.sampled_from([b"a", b"bc", "é".encode(), "𝄞".encode(), b"\r", b"\n", b"\r\n", b"\xff", b"\xe2\x82", b"-", b"--"])
).map(b"".join)


@given(messy, st.integers(1, 12), st.integers(1, 9))
@example(b"", 1, 1)
@example(b"\n", 1, 1)
@example(b"a\r", 1, 1)
@example(b"abcdef\r\nx\r\r\n", 2, 2)
@example("𝄞𝄞𝄞\n".encode(), 3, 2)
@example(b"aaaa\xffaaaa\nb\xff\nc", 2, 3)
@settings(max_examples=600, deadline=None)
def test_separated_lines_are_those_of_the_whole_file(raw: bytes, block: int, long: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK_BYTES", long)  # so that documents are long
        assert collect(separated(blocks_of(raw, block), None)) == naive(raw, b"\n", lines=True)


@given(
    messy, st.sampled_from([b"-", b"--", b"\n\n", "é".encode(), b"bc", b"---"]), st.integers(1, 12), st.integers(1, 9)
)
@example(b"a---b", b"--", 2, 1)
@example(b"--", b"--", 1, 1)
@settings(max_examples=600, deadline=None)
def test_separated_by_text_is_splitting_the_whole_file(raw: bytes, separator: bytes, block: int, long: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK_BYTES", long)
        assert collect(separated(blocks_of(raw, block), separator)) == naive(raw, separator, lines=False)


def test_separated_final_newline_adds_no_document_and_empty_lines_are_some() -> None:
    assert collect(separated([b"one\n\ntwo\r\n"], None)).documents == [(1, 0, "one"), (2, 4, ""), (3, 5, "two")]


def test_separated_offset_counts_from_where_the_blocks_start() -> None:
    found = collect(separated([b"one\nt\xffo\n"], None, offset=1000))
    assert (found.documents, found.bad) == ([(1, 1000, "one")], [(1005, 2)])


def cut_off(*blocks: bytes) -> Iterator[bytes]:
    yield from blocks
    raise CorruptFile("the .gz data is cut off")


@pytest.mark.parametrize("long", [3, 1000])
def test_separated_cut_off_file_keeps_what_was_whole(long: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "BLOCK_BYTES", long)
    found = collect(separated(cut_off(b"one\ntwo\n", b"three", b" is torn"), None))
    assert found.documents == [(1, 0, "one"), (2, 4, "two")]
    assert found.bad == [(8, 3)]


@given(messy, st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_whole_file_is_one_document_or_its_first_bad_byte(raw: bytes, block: int) -> None:
    found = collect(whole_file(blocks_of(raw, block)))
    try:
        expected = Found([(1, 0, raw.decode())] if raw else [], [] if raw else [(0, None)])
    except UnicodeDecodeError as error:
        expected = Found([], [(error.start, None)])
    assert found == expected


def test_whole_file_cut_off_is_no_document() -> None:
    found = collect(whole_file(cut_off(b"some ", b"text")))
    assert (found.documents, found.bad) == ([], [(0, None)])


@pytest.mark.parametrize(("raw", "offset"), [(b"", 0), (b"# \xff", 2)])
def test_markdown_file_bad_is_no_document(raw: bytes, offset: int) -> None:
    assert collect(markdown_file([b"# Pl", b"ay\n"], "a.md")).documents == [(1, 0, "Play\n")]  # guard: a good one is
    found = collect(markdown_file([raw], "a.md"))
    assert (found.documents, found.bad) == ([], [(offset, None)])
