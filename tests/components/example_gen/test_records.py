"""Records with named fields: JSON lines, comma- and tab-separated values, good and bad, literally in and out."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.example_gen import delimited as delimited_module
from components.example_gen import lines
from components.example_gen.blocks import CorruptFile
from components.example_gen.delimited import delimited
from components.example_gen.json_lines import json_lines
from components.example_gen.lines import lines_of
from components.example_gen.parsed import BadRecord, Document, Event, Total
from components.example_gen.records import RecordError, to_document
from pipeline.config import FieldsConfig

TEXT = FieldsConfig()


def documents(events: Iterator[Event]) -> list[tuple[int, str, dict[str, Any]]]:
    return [(e.number, e.raw.decode(), json.loads(e.line)) for e in events if isinstance(e, Document)]


def bad(events: Iterator[Event]) -> list[tuple[int, int | None, str]]:
    return [(e.offset, e.line, e.reason) for e in events if isinstance(e, BadRecord)]


# ---- A record -------------------------------------------------------------------------------------------------------


def test_to_document_takes_text_id_and_split_and_keeps_the_rest() -> None:
    record = {"body": "tä", "key": 7, "part": "dev", "id": "theirs", "n": [1, None]}
    found = to_document(record, FieldsConfig(text="body", id="key", split="part"), 3, 40)
    assert (found.raw, found.characters, found.number, found.offset) == ("tä".encode(), 2, 3, 40)
    assert (found.id, found.split) == ("7", 1)
    assert json.loads(found.line) == {"id": "7", "source_id": "theirs", "n": [1, None]}


def test_to_document_dotted_name_reaches_into_mappings() -> None:
    record = {"pair": {"en": "yes", "fr": "oui"}, "a.b": "literal", "a": {"b": "nested"}}
    found = to_document(record, FieldsConfig(text="pair.en"), 1, 0)
    assert (found.raw, json.loads(found.line)["pair"]) == (b"yes", {"fr": "oui"})
    assert to_document(record, FieldsConfig(text="a.b"), 1, 0).raw == b"literal"
    assert record["pair"] == {"en": "yes", "fr": "oui"}  # not changed


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("record", "fields", "reason"),
    [
        ({"body": "x"}, TEXT, "only 'body'"),
        ({}, TEXT, "only no field"),
        ({"text": None}, TEXT, "None of type NoneType"),
        ({"text": 5}, TEXT, "5 of type int"),
        ({"text": "x"}, FieldsConfig(id="key"), "only no field"),
        ({"text": "x", "key": True}, FieldsConfig(id="key"), "True"),
        ({"text": "x", "key": ""}, FieldsConfig(id="key"), "''"),
        ({"text": "x", "part": "rest"}, FieldsConfig(split="part"), "'rest'"),
        ({"text": "\ud834"}, TEXT, "half a surrogate pair, '\\ud834'"),
        ({"text": "x", "note": "\ud834"}, TEXT, "half a surrogate pair, '\\ud834'"),
        ({"a": {"b": "x"}}, FieldsConfig(text="a.c"), "only 'a'"),
        ({"text": "x", "id": 1, "source_id": 2}, TEXT, "2"),
        ({"text": "x", "deep": nested(5_000)}, TEXT, "hundreds of levels"),
    ],
)
def test_to_document_unfit_field_is_refused(record: dict[str, Any], fields: FieldsConfig, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        to_document(record, fields, 1, 0)
    assert caught.value.reason == reason


# ---- Lines ----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=40).map(lambda raw: raw.replace(b"a", b"\n").replace(b"\0", b"\n")), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_lines_of_any_blocks_are_the_lines(raw: bytes, block: int) -> None:
    found = list(lines_of((raw[i : i + block] for i in range(0, len(raw), block)), offset=5))
    assert [line for _, line in found] == list(io.BytesIO(raw))
    assert [start for start, _ in found] == [5 + raw.find(line, start - 5) for start, line in found]


def test_lines_of_too_long_a_line_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_RECORD", 6)
    found = list(lines_of([b"short\nfar", b"too", b"long\nshort\nlonger at the end"]))
    assert [(start, isinstance(line, lines.TooLong)) for start, line in found] == [
        (0, False),
        (6, True),
        (17, False),
        (23, True),
    ]


# ---- JSON lines -----------------------------------------------------------------------------------------------------


def test_json_lines_literal() -> None:
    raw = b'\xef\xbb\xbf{"text": "a\\nb", "n": 1}\r\n\n  \n{"n": [2], "text": "\xc3\xa9"}'
    events = list(json_lines([raw], TEXT))
    assert documents(iter(events)) == [(1, "a\nb", {"n": 1}), (4, "é", {"n": [2]})]
    assert events[-1] == Total(4)


@pytest.mark.parametrize(
    ("line", "offset", "reason"),
    [
        (b'{"text": "x"', 9, "Expecting ',' delimiter at character 13"),
        (b'{"text": x}', 9, "Expecting value at character 9"),
        (b'["text"]', 9, "a list"),
        (b'"text"', 9, "a str"),
        (b'{"text": NaN}', 9, "NaN is no JSON value"),
        (b'{"text": "x", "n": 1e999}', 9, "1e999 is too large a number"),
        (b'{"text": "a\x01"}', 9, "Invalid control character at character 11"),
        (b'{"text": "\xff"}', 19, "byte 0xff (invalid start byte)"),
        (b'{"text": ' + b"[" * 100_000, 9, "it is nested too deeply"),
        (b'{"text": "x"} {}', 9, "Extra data at character 14"),
        (b'{"other": "x"}', 9, "only 'other'"),
    ],
)
def test_json_lines_bad_line_is_named_and_the_rest_survives(line: bytes, offset: int, reason: str) -> None:
    first = b"       \n\n"  # blanks are no records
    events = list(json_lines([first + line + b'\n{"text": "good"}\n'], TEXT))
    assert bad(iter(events)) == [(offset, 3, reason)]
    assert documents(iter(events)) == [(4, "good", {})]


def test_json_lines_cut_off_keeps_what_was_whole() -> None:
    def blocks() -> Iterator[bytes]:
        yield b'{"text": "one"}\n{"text": "t'
        raise CorruptFile("cut off")

    events = list(json_lines(blocks(), TEXT))
    assert documents(iter(events)) == [(1, "one", {})]
    assert bad(iter(events)) == [(16, 2, "cut off")]


# ---- Delimited ------------------------------------------------------------------------------------------------------

BODY = FieldsConfig(text="body")


def rows(raw: bytes, fields: FieldsConfig = BODY, *, tabs: bool = False) -> list[Event]:
    return list(delimited([raw], fields, tabs=tabs))


def test_delimited_quoted_commas_newlines_and_quotes() -> None:
    raw = b'\xef\xbb\xbfkey,body\r\n1,"a, ""b""\r\nc"\r\n\r\n2,d\r\n'
    assert documents(iter(rows(raw))) == [(1, 'a, "b"\r\nc', {"key": "1"}), (2, "d", {"key": "2"})]


def test_delimited_tabs_quote_nothing() -> None:
    raw = b'key\tbody\n1\t"twas\n2\t, "quoted" \n'
    assert documents(iter(rows(raw, tabs=True))) == [(1, '"twas', {"key": "1"}), (2, ', "quoted" ', {"key": "2"})]


@given(
    st.lists(
        st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=9)] * 2),
        max_size=6,
    ),
    st.integers(1, 9),
)
@settings(max_examples=200, deadline=None)
def test_delimited_what_python_writes_comes_back(table: list[tuple[str, str]], block: int) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("key", "body"), *table])
    raw = file.getvalue().encode()
    events = list(delimited((raw[i : i + block] for i in range(0, len(raw), block)), BODY, tabs=False))
    assert documents(iter(events)) == [(i, body, {"key": key}) for i, (key, body) in enumerate(table, 1)]


@pytest.mark.parametrize(
    ("row", "offset", "reasons"),
    [
        (b"2,b,c", 13, ["3 values for the 2 names of the header"]),
        (b"2", 13, ["1 values for the 2 names of the header"]),
        (b'2,"b"c', 13, ["',' expected after '\"'"]),
        (b'2,"never closed', 13, ["unexpected end of data"]),
        (b"2,\xff", 15, ["byte 0xff (invalid start byte)"]),
        (b"\xe9,b", 13, ["byte 0xe9 (invalid continuation byte)"]),
    ],
)
def test_delimited_bad_row_costs_one_line(row: bytes, offset: int, reasons: list[str]) -> None:
    events = rows(b"key,body\n1,a\n" + row + b"\n3,c\n4,d\n")
    assert documents(iter(events)) == [(1, "a", {"key": "1"}), (3, "c", {"key": "3"}), (4, "d", {"key": "4"})]
    assert bad(iter(events)) == [(offset, 3, reason) for reason in reasons]


def test_delimited_quote_never_closed_costs_one_line_also_before_other_quotes() -> None:
    events = rows(b'key,body\n1,"open\n2,b\n3,"c"\n4,"d\ne"\n')
    assert [number_text[1] for number_text in documents(iter(events))] == ["b", "c", "d\ne"]
    assert [(offset, line) for offset, line, _ in bad(iter(events))] == [(9, 2)]


def test_delimited_record_longer_than_any_is_one_bad_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited_module, "LONGEST_RECORD", 30)
    events = rows(b'key,body\n1,"open\n' + b"2,bbbbbbbbbbbb\n" * 4)
    assert len(documents(iter(events))) == 4
    assert [(offset, line) for offset, line, _ in bad(iter(events))] == [(9, 2)]


def test_delimited_value_longer_than_the_csv_module_takes_is_read() -> None:
    long = b"x" * 200_000
    assert documents(iter(rows(b"key,body\n1," + long + b"\n"))) == [(1, long.decode(), {"key": "1"})]


@pytest.mark.parametrize(
    ("raw", "fields", "reason"),
    [
        (b"", BODY, "an empty file"),
        (b"key,other\n1,a\n2,b\n", BODY, "only 'key', 'other'"),
        (b"body,body\n1,a\n", BODY, "'body', 'body'"),
        (b"key,body\n1,a\n", FieldsConfig(text="body", id="name"), "only 'key', 'body'"),
        (b"\xff,body\n1,a\n", BODY, "byte 0xff (invalid start byte)"),
    ],
)
def test_delimited_bad_header_is_one_bad_record(raw: bytes, fields: FieldsConfig, reason: str) -> None:
    events = rows(raw, fields)
    assert documents(iter(events)) == []
    assert bad(iter(events)) == [(0, 1, reason)]


def test_delimited_cut_off_keeps_what_was_whole() -> None:
    def blocks() -> Iterator[bytes]:
        yield b'key,body\n1,a\n2,"b\nb'
        raise CorruptFile("cut off")

    events = list(delimited(blocks(), BODY, tabs=False))
    assert documents(iter(events)) == [(1, "a", {"key": "1"})]
    assert bad(iter(events)) == [(13, 3, "cut off")]
