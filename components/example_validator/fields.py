"""The checks of the documents' fields: are they there, and do they hold what the schema says."""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import FeatureNameStatistics

from components.example_validator.findings import Finding, limited, percent
from components.statistics_gen.statistics import LENGTH, TEXT, SplitStatistics, common, custom_number, field_values

_SCHEMA_TYPES = {
    FeatureNameStatistics.INT: schema_pb2.INT,
    FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
    FeatureNameStatistics.STRING: schema_pb2.BYTES,
    FeatureNameStatistics.BYTES: schema_pb2.BYTES,
    FeatureNameStatistics.STRUCT: schema_pb2.STRUCT,
}
_TYPE_NAMES = {
    schema_pb2.INT: "integers",
    schema_pb2.FLOAT: "numbers",
    schema_pb2.BYTES: "text",
    schema_pb2.STRUCT: "lists or objects",
}
_NAMED = 5


def required_fields(split: SplitStatistics, schema: schema_pb2.Schema) -> Iterator[Finding]:
    """Features that must be there and are not, `text` among them: a split needs documents."""
    for feature in schema.feature:
        present = _present(split, feature.name)
        fraction = present / split.documents if split.documents else 0.0
        if feature.presence.min_count > present:
            sentence = f"{_of(feature)} must be in {feature.presence.min_count:,} documents; it is in {present:,}."
            kind = "SCHEMA_MISSING_COLUMN" if not present else "FEATURE_TYPE_LOW_NUMBER_PRESENT"
            yield Finding(feature.name, kind, "Missing field", sentence)
        elif feature.presence.min_fraction > fraction:
            sentence = (
                f"{_of(feature)} must be in {percent(feature.presence.min_fraction)} of the documents; it is in "
                f"{percent(fraction)} ({present:,} of {split.documents:,})."
            )
            yield Finding(feature.name, "FEATURE_TYPE_LOW_FRACTION_PRESENT", "Missing field", sentence)


def _of(feature: schema_pb2.Feature) -> str:
    return f"the field {feature.name!r}" if feature.name not in (TEXT, LENGTH) else "text"


def _present(split: SplitStatistics, name: str) -> int:
    if name in (TEXT, LENGTH):
        return split.documents if split.has_text else 0
    return int(common(split.fields[name]).num_non_missing) if name in split.fields else 0


def field_domain(split: SplitStatistics, schema: schema_pb2.Schema, max_share: float) -> Iterator[Finding]:
    """Values of another type than the schema's, outside its domain, or outside its range."""
    for feature in schema.feature:
        if feature.name in (TEXT, LENGTH) or not _present(split, feature.name):
            continue
        statistics = split.fields[feature.name]
        found = _SCHEMA_TYPES[statistics.type]
        # Integers are numbers, too.
        untyped = feature.type == schema_pb2.TYPE_UNKNOWN
        if not untyped and found != feature.type and {found, feature.type} != {schema_pb2.INT, schema_pb2.FLOAT}:
            sentence = f"{_of(feature)} must hold {_TYPE_NAMES[feature.type]}; it holds {_TYPE_NAMES[found]}."
            yield Finding(feature.name, "UNEXPECTED_DATA_TYPE", "Unexpected type", sentence)
        elif statistics.HasField("string_stats"):
            yield from _values(feature, statistics, schema, max_share)
        elif statistics.HasField("num_stats"):
            yield from _range(feature, statistics)


def _values(
    feature: schema_pb2.Feature, statistics: FeatureNameStatistics, schema: schema_pb2.Schema, max_share: float
) -> Iterator[Finding]:
    domain = _domain(feature, schema)
    if domain is None:
        return
    values = field_values(statistics)
    outside = {value: count for value, count in values.items() if value not in domain}
    named = ", ".join(f"{value!r} {count:,}×" for value, count in list(outside.items())[:_NAMED])
    some = "" if len(values) == custom_number(statistics, "distinct_values") else "At least. "
    yield from limited(
        sum(outside.values()),
        int(common(statistics).num_non_missing),
        max_share,
        Finding(feature.name, "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "Unexpected values"),
        f"values of {_of(feature)} may be outside the schema's domain",
        f"{some}Most frequent: {named}.",
    )


def _domain(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> frozenset[str] | None:
    if feature.HasField("string_domain"):
        return frozenset(feature.string_domain.value)
    if feature.HasField("domain"):
        return next((frozenset(d.value) for d in schema.string_domain if d.name == feature.domain), None)
    return None


def _range(feature: schema_pb2.Feature, statistics: FeatureNameStatistics) -> Iterator[Finding]:
    kind = "FLOAT" if feature.HasField("float_domain") else "INT"
    domain = feature.float_domain if kind == "FLOAT" else feature.int_domain
    low, high = statistics.num_stats.min, statistics.num_stats.max
    if domain.HasField("min") and low < domain.min:
        sentence = f"{_of(feature)} may not be below {domain.min:g}; the least is {low:g}."
        yield Finding(feature.name, f"{kind}_TYPE_SMALL_{kind}", "Value too small", sentence)
    if domain.HasField("max") and high > domain.max:
        sentence = f"{_of(feature)} may not be above {domain.max:g}; the largest is {high:g}."
        yield Finding(feature.name, f"{kind}_TYPE_BIG_{kind}", "Value too large", sentence)
