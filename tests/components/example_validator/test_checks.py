"""Every check: what it finds, and that it finds nothing where nothing is."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from components.example_validator.anomalies import Anomaly, to_message
from components.example_validator.checks import validate
from components.schema_gen.schema import infer
from components.statistics_gen.statistics import SplitStatistics
from pipeline.config import ExampleValidatorConfig, SchemaGenConfig
from tests.components.statistics_gen.reference import count_without_beam, write_examples

CLEAN = {
    "train": ["the cat sat on the mat"] * 3 + ["the dog lay by the door "] * 9,
    "eval": ["the cat lay by the door"],
}
# Only what is asked for, so that a case says which check it is for.
OFF = {name: {"severity": "off"} for name in ExampleValidatorConfig.model_fields}


def statistics(corpus: Mapping[str, Sequence[str]], fields: Mapping[str, Any] = {}) -> dict[str, SplitStatistics]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "work").mkdir()
        return count_without_beam(
            write_examples(Path(folder) / "examples", corpus, fields), Path(folder) / "work", 10_000
        )


def find(
    splits: Mapping[str, SplitStatistics],
    schema: schema_pb2.Schema | None = None,
    baseline: Mapping[str, SplitStatistics] | None = None,
    **checks: Any,
) -> list[Anomaly]:
    config = ExampleValidatorConfig.model_validate(OFF | checks) if checks else ExampleValidatorConfig()
    return validate(splits, schema or infer(splits["train"], SchemaGenConfig()), baseline, config)


def schema_of(corpus: Mapping[str, Sequence[str]]) -> schema_pb2.Schema:
    return infer(statistics(corpus)["train"], SchemaGenConfig())


def test_validate_clean_corpus_finds_nothing() -> None:
    clean = statistics(CLEAN)
    assert find(clean, baseline=clean) == []


@pytest.mark.parametrize("text", ["hello", "x", "a longer line, in three equal splits"])
def test_validate_equal_splits_find_nothing(text: str) -> None:
    assert find(statistics({"train": [text], "eval": [text], "test": [text]})) == []


def test_validate_off_finds_nothing_and_severity_is_the_configured_one() -> None:
    bad = statistics({"train": ["abc"], "eval": ["", ""]})
    assert find(bad, empty_documents={"severity": "off"}) == []
    assert [a.severity for a in find(bad, empty_documents={"severity": "warn"})] == ["warn"]
    assert [a.severity for a in find(bad, empty_documents={"severity": "stop"})] == ["stop"]


def test_unseen_characters_above_the_share_are_named() -> None:
    splits = statistics({"train": ["abcd" * 10], "eval": ["ab\x07z" + "a" * 96]})
    assert find(splits, unseen_characters={"severity": "warn", "max_share": 0.02}) == []
    (found,) = find(splits, unseen_characters={"severity": "warn", "max_share": 0.019})
    assert (found.split, found.feature, found.type) == ("eval", "text", "FEATURE_COVERAGE_TOO_LOW")
    assert found.sentence == (
        "eval: at most 1.9 % of the characters may be outside the schema's; 2 % are (2 of 100). "
        "Most frequent: U+0007 1×, 'z' (U+007A) 1×."
    )


def test_unseen_characters_of_a_schema_that_leaves_them_open_are_none() -> None:
    schema = text_format.Parse('feature { name: "text" type: BYTES }', schema_pb2.Schema())
    splits = statistics({"train": ["abc"], "eval": ["xyz"]})
    strict = {"severity": "warn", "max_share": 0.0}
    assert find(splits, unseen_characters=strict)  # guard
    assert find(splits, schema, unseen_characters=strict, new_script=strict) == []


def test_new_script_is_found_and_new_characters_of_a_known_one_are_not() -> None:
    strict = {"severity": "stop", "max_share": 0.0}
    schema = schema_of({"train": ["abc я 1"]})
    assert find(statistics({"train": ["xyz ж 漢".replace("漢", "?")]}), schema, new_script=strict) == []
    (found,) = find(statistics({"train": ["abc 漢字 ひ"]}), schema, new_script=strict)
    assert "Scripts: Han (2), Hiragana (1)." in found.sentence
    assert found.type == "ENUM_TYPE_UNEXPECTED_STRING_VALUES"


def test_new_script_common_characters_belong_to_every_script() -> None:
    strict = {"severity": "stop", "max_share": 0.0}
    assert find(statistics({"train": ["1 😀 ?", "\u0301"]}), schema_of({"train": ["abc"]}), new_script=strict) == []


def test_script_drift_is_against_any_split_of_the_corpus_before() -> None:
    strict = {"severity": "stop", "max_share": 0.0}
    before = statistics({"train": ["abc"], "eval": ["я"]})
    assert find(statistics({"train": ["ж"], "eval": ["z"]}), baseline=before, script_drift=strict) == []
    (found,) = find(statistics({"train": ["漢a"], "eval": ["z"]}), baseline=before, script_drift=strict)
    assert "50 % is (1 of 2). Scripts: Han (1)." in found.sentence
    assert find(statistics({"train": ["漢a"]}), baseline=None, script_drift=strict) == []


@pytest.mark.parametrize("character", ["\x00", "\ufffd", "\ue000", "\u0378"])
def test_invalid_characters_are_found(character: str) -> None:
    splits = statistics({"train": ["a" * 9_999 + character]})
    assert find(splits, invalid_characters={"severity": "warn", "max_share": 0.0001}) == []
    (found,) = find(splits, invalid_characters={"severity": "warn", "max_share": 0.00009})
    assert f"U+{ord(character):04X}" in found.sentence


def test_invalid_characters_are_no_line_ends_tabs_or_joiners() -> None:
    splits = statistics({"train": ["a\n\r\t\u200d\xad é"]})
    assert find(splits, invalid_characters={"severity": "warn", "max_share": 0.0}) == []


def test_empty_documents_above_the_share_are_found() -> None:
    splits = statistics({"train": ["a", "", "", "b"]})
    assert find(splits, empty_documents={"severity": "stop", "max_share": 0.5}) == []
    (found,) = find(splits, empty_documents={"severity": "stop", "max_share": 0.4})
    assert found.sentence == "train: at most 40 % of the documents may be empty; 50 % are (2 of 4)."


def test_document_length_outside_the_bounds_is_found_and_empty_ones_are_not() -> None:
    schema = schema_of({"train": ["a" * 10] * 10})  # 5 … 20
    check = {"severity": "warn"}
    assert find(statistics({"train": ["a" * 5, "a" * 20, ""]}), schema, document_length=check) == []
    found = find(statistics({"train": ["a" * 4, "a" * 21]}), schema, document_length=check)
    assert [(a.feature, a.type) for a in found] == [
        ("text.length", "INT_TYPE_SMALL_INT"),
        ("text.length", "INT_TYPE_BIG_INT"),
    ]
    assert "not be longer than 20 characters; the longest has 21." in found[1].sentence
    assert find(statistics({"train": ["", ""]}), schema, document_length=check) == []


def test_leaked_documents_above_the_share_are_found() -> None:
    splits = statistics({"train": ["a", "b", "", "c"], "eval": ["a", "x", "y", "", ""]})
    assert find(splits, leaked_documents={"severity": "warn", "max_share": 0.34}) == []
    (found,) = find(splits, leaked_documents={"severity": "warn", "max_share": 0.33})
    assert found.split == "eval"
    assert "33.3 % is (1 of 3)" in found.sentence


def test_skew_of_eval_is_found_and_measured() -> None:
    splits = statistics({"train": ["ab" * 500], "eval": ["ab" * 500], "test": ["ac" * 500]})
    (found,) = find(splits, skew={"severity": "warn"})
    assert (found.split, found.type) == ("test", "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH")
    assert found.measured == (pytest.approx(0.5), 0.05)
    assert "they differ by 0.5, of which 0.00072 may be chance. Most different: 'b' (U+0062) 0 % for 50 %" in (
        found.sentence
    )


def test_skew_of_a_few_characters_is_chance() -> None:
    short, long = (statistics({"train": ["abcdefgh" * n], "eval": ["abca" * n]}) for n in (1, 400))
    assert find(short, skew={"severity": "warn"}) == []
    assert find(long, skew={"severity": "warn"})  # guard: with the same shares


def test_drift_is_against_the_same_split_of_the_corpus_before() -> None:
    before = statistics({"train": ["ab" * 500], "eval": ["cd" * 500]})
    check = {"severity": "warn"}
    assert find(statistics({"train": ["ab" * 400], "eval": ["cd" * 400]}), baseline=before, drift=check) == []
    (found,) = find(statistics({"train": ["ac" * 500], "eval": ["cd" * 5]}), baseline=before, drift=check)
    assert (found.split, found.check) == ("train", "drift")
    assert find(statistics({"train": ["xy" * 500]}), baseline=None, drift=check) == []


def test_skew_and_drift_without_comparator_in_the_schema_are_not_asked_for() -> None:
    schema = text_format.Parse('feature { name: "text" type: BYTES }', schema_pb2.Schema())
    splits = statistics({"train": ["ab" * 500], "eval": ["xy" * 500]})
    check = {"severity": "warn"}
    assert find(splits, schema, statistics({"train": ["12" * 500]}), skew=check, drift=check) == []


# ---- Fields ---------------------------------------------------------------------------------------------------------


def with_fields(train: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> dict[str, SplitStatistics]:
    corpus = {"train": ["a"] * len(train), "eval": ["a"] * len(other)}
    return statistics(corpus, {"train": train, "eval": other})


def test_required_fields_that_are_missing_are_found() -> None:
    check = {"severity": "stop"}
    train = [{"label": "a"}] * 4 + [{"label": "b", "note": "x"}] * 4
    assert find(with_fields(train, [{"label": "a", "note": "x"}]), required_fields=check) == []
    found = find(with_fields(train, [{"label": "a"}, {}]), required_fields=check)
    assert [(a.feature, a.type) for a in found] == [
        ("label", "FEATURE_TYPE_LOW_FRACTION_PRESENT"),
        ("note", "SCHEMA_MISSING_COLUMN"),
    ]
    assert "must be in 100 % of the documents; it is in 50 % (1 of 2)" in found[0].sentence


def test_required_fields_of_a_split_without_documents_are_found() -> None:
    found = find(statistics({"train": ["a"], "eval": []}), required_fields={"severity": "stop"})
    assert {(a.split, a.feature) for a in found} == {("eval", "text"), ("eval", "text.length")}


def test_field_domain_label_outside_is_found() -> None:
    train = [{"label": "ab"[i % 2]} for i in range(8)]
    check = {"severity": "stop"}
    assert find(with_fields(train, [{"label": "a"}] * 2), field_domain=check) == []
    splits = with_fields(train, [{"label": "a"}, {"label": "new"}, {"label": "a"}, {"label": "a"}])
    (found,) = find(splits, field_domain=check)
    assert (found.feature, found.type) == ("label", "ENUM_TYPE_UNEXPECTED_STRING_VALUES")
    assert "25 % is (1 of 4). Most frequent: 'new' 1×." in found.sentence
    assert find(splits, field_domain={"severity": "stop", "max_share": 0.25}) == []


@pytest.mark.parametrize(
    ("inside", "outside", "kind"),
    [(2, 3, "INT_TYPE_BIG_INT"), (0, -1, "INT_TYPE_SMALL_INT"), (1, "one", "UNEXPECTED_DATA_TYPE"),
     (1, [1], "UNEXPECTED_DATA_TYPE")],
)  # fmt: skip
def test_field_domain_number_outside_or_of_another_type_is_found(inside: Any, outside: Any, kind: str) -> None:
    train = [{"n": i % 3} for i in range(9)]
    check = {"severity": "stop"}
    assert find(with_fields(train, [{"n": inside}]), field_domain=check) == []
    (found,) = find(with_fields(train, [{"n": outside}]), field_domain=check)
    assert (found.feature, found.type) == ("n", kind)


@pytest.mark.parametrize(("value", "kind"), [(8.5, "FLOAT_TYPE_BIG_FLOAT"), (-0.1, "FLOAT_TYPE_SMALL_FLOAT")])
def test_field_domain_fraction_outside_is_found(value: float, kind: str) -> None:
    train = [{"x": i / 2} for i in range(9)]  # 0 … 4, and as much again above
    check = {"severity": "stop"}
    assert find(with_fields(train, [{"x": 8}, {"x": 0.0}]), field_domain=check) == []
    (found,) = find(with_fields(train, [{"x": value}]), field_domain=check)
    assert found.type == kind


def test_field_domain_shared_domain_of_a_given_schema_counts() -> None:
    schema = text_format.Parse(
        'feature { name: "label" type: BYTES domain: "labels" } string_domain { name: "labels" value: "a" }',
        schema_pb2.Schema(),
    )
    (found,) = find(with_fields([{"label": "a"}], [{"label": "b"}]), schema, field_domain={"severity": "warn"})
    assert found.split == "eval"


@pytest.mark.parametrize("value", ["a", 5, 0.5, [1]])
def test_field_of_a_given_schema_without_a_type_may_hold_anything(value: Any) -> None:
    schema = text_format.Parse('feature { name: "label" presence { min_fraction: 1.0 } }', schema_pb2.Schema())
    checks = {"field_domain": {"severity": "stop"}, "required_fields": {"severity": "stop"}}
    assert [
        a for a in find(with_fields([{"label": value}], [{"label": value}]), schema, **checks) if "label" in a.sentence
    ] == []
    missing = find(with_fields([{"label": value}], [{"other": 1}]), schema, **checks)
    assert "label" in {a.feature for a in missing}  # guard


# ---- Messages -------------------------------------------------------------------------------------------------------


def test_to_message_holds_every_finding_with_its_severity_and_type() -> None:
    splits = statistics({"train": ["ab" * 500] * 10, "eval": ["", "xя" * 900, "y"]})
    schema = infer(splits["train"], SchemaGenConfig())
    found = [anomaly for anomaly in find(splits, schema) if anomaly.split == "eval"]
    message = to_message(found, schema)
    assert {a.check for a in found} >= {"empty_documents", "new_script", "unseen_characters", "skew", "document_length"}
    assert sum(len(info.reason) for info in message.anomaly_info.values()) == len(found)
    for anomaly in found:
        info = message.anomaly_info[f"{anomaly.feature}: {anomaly.check}"]
        assert list(info.path.step) == [anomaly.feature]
        expected = {"stop": anomalies_pb2.AnomalyInfo.ERROR, "warn": anomalies_pb2.AnomalyInfo.WARNING}
        assert info.severity == expected[anomaly.severity]
        assert anomaly.sentence in [reason.description for reason in info.reason]
        assert anomaly.sentence in info.description
    (measured,) = message.drift_skew_info
    assert measured.skew_measurements[0].threshold == 0.05
    assert measured.skew_measurements[0].value > 0.9
    assert message.baseline == schema


def test_to_message_without_findings_is_empty() -> None:
    message = to_message([], schema_pb2.Schema())
    assert (len(message.anomaly_info), len(message.drift_skew_info)) == (0, 0)
