"""The schema: inferred, written, read, and given as a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from components.schema_gen.schema import infer, load, parse, to_text
from components.schema_gen.stage import SchemaGen
from components.statistics_gen.statistics import SplitStatistics
from pipeline.config import SchemaGenConfig
from tests.components.statistics_gen.reference import count_without_beam, run_stage, write_examples


def train(folder: Path, texts: Sequence[str], fields: Sequence[Mapping[str, Any]] = ()) -> SplitStatistics:
    examples = write_examples(folder / "examples", {"train": texts}, {"train": fields} if fields else {})
    (folder / "work").mkdir()
    return count_without_beam(examples, folder / "work", 1000)["train"]


def features(schema: schema_pb2.Schema) -> dict[str, schema_pb2.Feature]:
    return {feature.name: feature for feature in schema.feature}


def test_infer_text_has_trains_characters_and_both_comparators(tmp_path: Path) -> None:
    schema = infer(train(tmp_path, ["ba\n", "é"]), SchemaGenConfig(skew=0.25, drift=0.5))
    text = features(schema)["text"]
    (domain,) = schema.string_domain
    assert text.natural_language_domain.vocabulary == domain.name
    assert list(domain.value) == ["\n", "a", "b", "é"]
    assert (text.presence.min_fraction, text.presence.min_count) == (1, 1)
    assert text.skew_comparator.jensen_shannon_divergence.threshold == 0.25
    assert text.drift_comparator.jensen_shannon_divergence.threshold == 0.5


@pytest.mark.parametrize(
    ("lengths", "bounds"),
    [([7], (1, 14)), ([8] * 9, (1, 16)), ([8] * 10, (4, 16)), ([8] * 9 + [0, 31], (4, 62)), ([0] * 12, (1, 1))],
)
def test_infer_length_leaves_room(tmp_path: Path, lengths: list[int], bounds: tuple[int, int]) -> None:
    domain = features(infer(train(tmp_path, ["a" * n for n in lengths]), SchemaGenConfig()))["text.length"].int_domain
    assert (domain.min, domain.max) == bounds


def test_infer_fields_have_type_presence_and_domain(tmp_path: Path) -> None:
    documents = [
        {
            "label": "ab"[i % 2],
            "title": f"title {i}",
            "grade": i % 3,
            "year": 1900 + i,
            "score": i / 8,
            "below": -1 - i / 8,
            "tags": [i],
            **({"note": "n"} if i % 2 else {}),
        }
        for i in range(12)
    ]
    found = features(infer(train(tmp_path, [""] * 12, documents), SchemaGenConfig()))
    assert list(found["label"].string_domain.value) == ["a", "b"]
    assert not found["title"].HasField("string_domain")  # every document has another
    assert (found["grade"].int_domain.min, found["grade"].int_domain.max) == (0, 2)  # few values: no room
    assert (found["year"].int_domain.min, found["year"].int_domain.max) == (1900 - 11, 1911 + 11)
    assert (found["score"].float_domain.min, found["score"].float_domain.max) == (0, 2.75)
    assert found["below"].float_domain.min == pytest.approx(-1 - 2 * 11 / 8)
    assert found["tags"].type == schema_pb2.STRUCT
    assert found["label"].presence.min_fraction == 1
    assert found["note"].presence.min_fraction == 0
    assert found["note"].presence.min_count == 1


def test_infer_domain_values_is_the_most_that_is_a_domain(tmp_path: Path) -> None:
    statistics = train(tmp_path, [""] * 12, [{"label": "abc"[i % 3]} for i in range(12)])
    assert features(infer(statistics, SchemaGenConfig(domain_values=3)))["label"].HasField("string_domain")
    assert not features(infer(statistics, SchemaGenConfig(domain_values=2)))["label"].HasField("string_domain")


def test_schema_written_and_read_is_the_same(tmp_path: Path) -> None:
    schema = infer(train(tmp_path, ['a\0\n\t"\\é漢𝄞\x7f\u2028\u202e']), SchemaGenConfig())
    text = to_text(schema)
    assert parse(text.encode("utf-8"), "") == schema
    assert "漢" in text  # for people


@pytest.mark.parametrize("raw", [b"feature {", b"no_such_key: 1", b"\xff"])
def test_parse_of_what_is_no_schema_names_the_file(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"must be a tensorflow_metadata Schema as text\. Received: mine\.pbtxt"):
        parse(raw, "mine.pbtxt")


def test_load_of_a_folder_without_schema_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Run schema_gen again"):
        load(tmp_path)


# ---- The stage ------------------------------------------------------------------------------------------------------


def generate(folder: Path, statistics: Path, **config: Any) -> Path:
    folder.mkdir()
    SchemaGen(SchemaGenConfig(**config)).run({"statistics": statistics}, {"schema": folder}, folder.parent)
    return folder


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("statistics")
    return run_stage(write_examples(folder / "examples", {"train": ["abc"], "eval": ["z"]}), folder / "statistics")


def test_stage_infers_from_train_alone(tmp_path: Path, statistics: Path) -> None:
    schema = load(generate(tmp_path / "schema", statistics))
    assert list(schema.string_domain[0].value) == ["a", "b", "c"]


def test_stage_given_schema_is_taken_as_it_is(tmp_path: Path, statistics: Path) -> None:
    given = b'# by hand\nfeature { name: "text" type: BYTES }\n'
    (tmp_path / "mine.pbtxt").write_bytes(given)
    folder = generate(tmp_path / "schema", statistics, schema_file=str(tmp_path / "mine.pbtxt"))
    assert (folder / "schema.pbtxt").read_bytes() == given


def test_stage_fingerprint_knows_the_given_bytes_and_not_their_path(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text('feature { name: "text" }')
    first, second = (SchemaGen(SchemaGenConfig(schema_file=str(tmp_path / name))) for name in ("a", "b"))
    before = first.environment(tmp_path)
    assert (first.settings(), before) == (second.settings(), second.environment(tmp_path))
    (tmp_path / "a").write_text('feature { name: "other" }')
    assert first.environment(tmp_path) != before
    assert SchemaGen(SchemaGenConfig()).environment(tmp_path) != before


def test_stage_bad_schema_file_is_refused_and_nothing_written(tmp_path: Path, statistics: Path) -> None:
    (tmp_path / "bad").write_text("feature {")
    for name, message in (("none", "No such file"), ("bad", "must be a tensorflow_metadata Schema")):
        with pytest.raises(ValueError, match=message):
            generate(tmp_path / f"schema-{name}", statistics, schema_file=str(tmp_path / name))
        assert list((tmp_path / f"schema-{name}").iterdir()) == []


def test_stage_without_train_split_says_what_to_do(tmp_path: Path) -> None:
    only = run_stage(write_examples(tmp_path / "examples", {"eval": ["z"]}), tmp_path / "statistics")
    with pytest.raises(ValueError, match=r"Received: splits eval\. Give one as schema_gen\.schema_file\."):
        generate(tmp_path / "schema", only)
