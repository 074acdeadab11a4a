"""The schema of documents: a tensorflow_metadata Schema, inferred, written as text and read back.

`text` has its characters as the vocabulary of a natural-language domain, and the comparators for skew and drift;
`text.length` has the bounds of a document's length in characters (documents without text have neither); every field has
its type, whether it is required, and its domain or range.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.statistics_gen.statistics import LENGTH, TEXT, SplitStatistics, common, custom_number, field_values
from pipeline.config import SchemaGenConfig

FILE_NAME = "schema.pbtxt"
CHARACTERS = "characters"
# Documents may be half as long as the shortest and twice as long as the longest.
_LENGTH_FACTOR = 2
# The shortest of fewer documents says nothing of the next: a corpus of one document is cut into uneven splits.
_DOCUMENTS_FOR_SHORTEST = 10
_INT64 = range(-(2**63), 2**63)


def infer(train: SplitStatistics, config: SchemaGenConfig) -> schema_pb2.Schema:
    """Takes what the train split is for what documents have to be.

    Args:
        train: Its statistics.
        config: How much the other splits and later corpora may differ.
    """
    schema = schema_pb2.Schema()
    if train.has_text:
        _add_text(schema, train, config)
    for name, statistics in train.fields.items():
        _add_field(schema, name, statistics, config.domain_values)
    return schema


def _add_text(schema: schema_pb2.Schema, train: SplitStatistics, config: SchemaGenConfig) -> None:
    schema.string_domain.add(name=CHARACTERS, value=sorted(train.characters))
    text = _add(schema, TEXT, schema_pb2.BYTES, required=True)
    text.natural_language_domain.vocabulary = CHARACTERS
    text.skew_comparator.jensen_shannon_divergence.threshold = config.skew
    text.drift_comparator.jensen_shannon_divergence.threshold = config.drift
    length = _add(schema, LENGTH, schema_pb2.INT, required=True)
    enough = train.documents >= _DOCUMENTS_FOR_SHORTEST
    length.int_domain.min = max(1, train["shortest_document"] // _LENGTH_FACTOR) if enough else 1
    length.int_domain.max = max(1, int(train.lengths.max) * _LENGTH_FACTOR)


def _add(schema: schema_pb2.Schema, name: str, kind: int, required: bool) -> schema_pb2.Feature:
    feature = schema.feature.add(name=name, type=kind)
    feature.value_count.min = feature.value_count.max = 1
    feature.presence.min_count = 1
    if required:
        feature.presence.min_fraction = 1.0
    return feature


def _add_field(
    schema: schema_pb2.Schema, name: str, statistics: statistics_pb2.FeatureNameStatistics, domain_values: int
) -> None:
    counts = common(statistics)
    if not counts.num_non_missing:
        return
    kinds = statistics_pb2.FeatureNameStatistics
    kind = {kinds.INT: schema_pb2.INT, kinds.FLOAT: schema_pb2.FLOAT, kinds.STRUCT: schema_pb2.STRUCT}
    feature = _add(schema, name, kind.get(statistics.type, schema_pb2.BYTES), required=not counts.num_missing)
    distinct = custom_number(statistics, "distinct_values")
    # A label occurs more than once; titles, of which each document has another, have no domain.
    few = distinct <= domain_values and 2 * distinct <= counts.num_non_missing
    if statistics.type == kinds.STRING and few:
        feature.string_domain.name = name
        feature.string_domain.value.extend(sorted(field_values(statistics)))
    elif statistics.type in (kinds.INT, kinds.FLOAT):
        low, high = statistics.num_stats.min, statistics.num_stats.max
        if statistics.type == kinds.FLOAT or not few:
            # Other documents have other numbers: as much room again on both sides, but no sign that train lacks.
            room = high - low
            low, high = max(low - room, 0.0) if low >= 0 else low - room, high + room
        if statistics.type == kinds.FLOAT:
            feature.float_domain.min, feature.float_domain.max = low, high
        elif int(low) in _INT64 and int(high) in _INT64:
            feature.int_domain.min, feature.int_domain.max = int(low), int(high)


def to_text(schema: schema_pb2.Schema) -> str:
    """A schema as people read and edit it."""
    return str(text_format.MessageToString(schema, as_utf8=True))


def parse(raw: bytes, name: str) -> schema_pb2.Schema:
    """Reads a schema.

    Args:
        raw: The bytes of a file that `to_text`, TensorFlow Data Validation or a person wrote.
        name: The file, for the message.

    Raises:
        ValueError: It is no schema.
    """
    try:
        return text_format.Parse(raw.decode("utf-8"), schema_pb2.Schema())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f"SchemaGen: a schema must be a tensorflow_metadata Schema as text. Received: {name} ({error}). "
            f"Correct the file, or take the {FILE_NAME} of an earlier run as a start."
        ) from error


def load(folder: Path) -> schema_pb2.Schema:
    """Reads the schema of a Schema artifact.

    Raises:
        ValueError: It is missing or no schema.
    """
    path = folder / FILE_NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"SchemaGen: a schema must be readable ({error.strerror}). Received: {path}. Run schema_gen again."
        ) from error
    return parse(raw, str(path))
