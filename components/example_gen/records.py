"""A record with named fields to a document: its text, its id, its split, and everything else as what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.documents import to_line
from components.example_gen.parsed import BadRecord, Document
from components.example_gen.split_names import KNOWN, split_code
from pipeline.config import FieldsConfig

# A record is held whole; one that is longer is taken for a damaged file.
LONGEST_RECORD = 64 << 20

_KEPT_ID = "source_id"


class RecordError(ValueError):
    """What is wrong with a record: rule, reason and fix as in `BadRecord`."""

    def __init__(self, rule: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.fix = rule, reason, fix

    def at(self, offset: int, line: int | None) -> BadRecord:
        """Says where it is."""
        return BadRecord(offset, line, self.rule, self.reason, self.fix)


def to_document(record: Mapping[str, Any], fields: FieldsConfig, number: int, offset: int) -> Document:
    """Makes a document of a record.

    Args:
        record: Names and JSON values.
        fields: Which is what.
        number: As in `Document`.
        offset: As in `Document`.

    Raises:
        RecordError: A field is missing or not what it should be.
    """
    text, rest = _take(record, fields.text, "text")
    if not isinstance(text, str):
        raise RecordError(
            f"the field {fields.text!r} must be text", f"{_show(text)} of type {type(text).__name__}", _FIELDS_FIX
        )
    known: dict[str, Any] = {}
    if fields.id is not None:
        name, rest = _take(rest, fields.id, "id")
        if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
            raise RecordError(f"the field {fields.id!r} must be text or an integer", _show(name), _FIELDS_FIX)
        known["id"] = str(name)
    split = None
    if fields.split is not None:
        named, rest = _take(rest, fields.split, "split")
        split = split_code(str(named))
        if split is None:
            raise RecordError(f"the field {fields.split!r} must be one of {KNOWN}", _show(named), "Correct the record")
    if "id" in rest and _KEPT_ID in rest:
        raise RecordError(
            f"a record must not have both the fields 'id' and {_KEPT_ID!r}, under which the first is kept",
            _show(rest[_KEPT_ID]),
            "Name one of them as example_gen.fields.id, or rename it",
        )
    known |= {_KEPT_ID if key == "id" else key: value for key, value in rest.items()}
    try:
        raw, line = text.encode("utf-8"), to_line(known)
    except UnicodeEncodeError as error:
        raise RecordError(
            "text must be what UTF-8 can hold", f"half a surrogate pair, {error.object[error.start]!r}", "Correct it"
        ) from error
    except RecursionError as error:
        raise RecordError("a record must not be nested so deeply", "hundreds of levels", "Correct it") from error
    return Document(raw, len(text), line, number, offset, known.get("id"), split)


_FIELDS_FIX = "Correct the record, or name another field in example_gen.fields"


def _take(record: Mapping[str, Any], name: str, role: str) -> tuple[Any, dict[str, Any]]:
    """A field, and the record without it."""
    try:
        return _pop(record, name)
    except KeyError as error:
        found = ", ".join(map(repr, record)) or "no field"
        raise RecordError(
            f"a record must have the field {name!r} (the {role})", f"only {found}", _FIELDS_FIX
        ) from error


def _pop(record: Mapping[str, Any], name: str) -> tuple[Any, dict[str, Any]]:
    rest = dict(record)
    if name in rest:
        return rest.pop(name), rest
    outer, _, inner = name.partition(".")
    if not isinstance(rest.get(outer), dict):
        raise KeyError(name)
    value, rest[outer] = _pop(rest[outer], inner)
    return value, rest


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
