"""A record with named fields to a document: its features, its id, its split, and all else as what is known of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from components.documents import to_line
from components.example_gen.features import (
    IN_FIELDS,
    REFERENCES,
    check_references,
    check_tags,
    check_text,
    shown,
    to_array,
)
from components.example_gen.parsed import Document
from components.example_gen.parsed import RecordError as RecordError
from components.example_gen.split_names import KNOWN, split_code
from pipeline.config import FieldsConfig

# A record is held whole; one that is longer is taken for a damaged file.
LONGEST_RECORD = 64 << 20


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
    rest: Mapping[str, Any] = record
    text, known, features = "", {}, {}
    if fields.text is not None:
        text, rest = _take(record, fields.text, "text")
        if not isinstance(text, str):
            raise RecordError(
                f"the field {fields.text!r} must be text", f"{shown(text)} of type {type(text).__name__}", _FIELDS_FIX
            )
    if fields.id is not None:
        name, rest = _take(rest, fields.id, "id")
        if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
            raise RecordError(f"the field {fields.id!r} must be text or an integer", shown(name), _FIELDS_FIX)
        known["id"] = str(name)
    split = None
    if fields.split is not None:
        named, rest = _take(rest, fields.split, "split")
        split = split_code(str(named))
        if split is None:
            raise RecordError(f"the field {fields.split!r} must be one of {KNOWN}", shown(named), "Correct the record")
    array = None
    for feature, field in fields.features.items():
        if feature == "text":
            continue
        value = _take(record, field, feature)[0]  # of the whole record: a field may be two features
        rest = _without(rest, field)
        if feature == "array":
            array = to_array(value)
        else:
            features[feature] = IN_FIELDS[feature](value)
    if fields.text is not None and not features.keys().isdisjoint(("label", "tags", "target")):
        check_text(text)
    if "tags" in features:
        check_tags(features["tags"], None if fields.text is None else text, array)
    if "target" in features and REFERENCES in rest:
        check_references(rest[REFERENCES], features["target"])
    known |= features | _renamed(rest, ("id", *features))
    try:
        raw, line = text.encode("utf-8"), to_line(known)
    except UnicodeEncodeError as error:
        raise RecordError(
            "text must be what UTF-8 can hold", f"half a surrogate pair, {error.object[error.start]!r}", "Correct it"
        ) from error
    except RecursionError as error:
        raise RecordError("a record must not be nested so deeply", "hundreds of levels", "Correct it") from error
    return Document(raw, len(text), line, number, offset, known.get("id"), split, array)


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


def _without(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    try:
        return _pop(record, name)[1]
    except KeyError:
        return record  # it was another feature, too


def _renamed(rest: Mapping[str, Any], taken: Collection[str]) -> dict[str, Any]:
    """The other fields, those whose names are taken under names of their own."""
    for name in taken:
        if name in rest and f"source_{name}" in rest:
            raise RecordError(
                f"a record must not have both the fields {name!r} and 'source_{name}', under which the first is kept",
                shown(rest[f"source_{name}"]),
                f"Name one of them as example_gen.fields.{name}, or rename it",
            )
    return {f"source_{key}" if key in taken else key: value for key, value in rest.items()}
