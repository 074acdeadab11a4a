"""Features of records besides text: labels, tags, targets, numbers and arrays, and what is wrong with them."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.documents import Documents, Feature, read_features
from components.example_gen.features import check_references, check_tags, to_array, to_class, to_classes, to_number
from components.example_gen.parsed import RecordError
from components.example_gen.records import to_document
from pipeline.config import ExampleGenConfig, FieldsConfig
from tests.components.example_gen.corpora import bad_records, documents, fields, generate, stage

ALL = FieldsConfig(text="body", label="kind", tags="pos", target="answer", value="stars", array="signal")
RECORD = {
    "body": "a b",
    "kind": 3,
    "pos": ["X", "Y"],
    "answer": "é",
    "stars": 2,
    "signal": [[1, 2], [3, 4.5], [5, 6]],
    "label": "own",
    "more": True,
}


def test_to_document_of_all_features() -> None:
    document = to_document(RECORD, ALL, 1, 0)
    assert document.raw == b"a b"
    assert json.loads(document.line) == {
        "label": "3",
        "tags": ["X", "Y"],
        "target": "é",
        "value": 2.0,
        "source_label": "own",  # the record's own field of that name
        "more": True,
    }
    assert document.array is not None
    assert document.array.dtype == np.float32
    assert document.array.tolist() == [[1, 2], [3, 4.5], [5, 6]]


def test_to_document_one_field_as_two_features() -> None:
    document = to_document({"name": "Ada"}, FieldsConfig(text="name", target="name"), 1, 0)
    assert (document.raw, json.loads(document.line)) == (b"Ada", {"target": "Ada"})


def test_to_document_nested_fields() -> None:
    record = {"translation": {"en": "yes", "fr": "oui"}}
    document = to_document(record, FieldsConfig(text="translation.en", target="translation.fr"), 1, 0)
    assert (document.raw, json.loads(document.line)) == (b"yes", {"target": "oui", "translation": {}})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": None}, "a class must be"),
        ({"kind": 1.5}, "a class must be"),
        ({"kind": "two\nlines"}, "a class must be"),
        ({"kind": ""}, "a class must be"),
        ({"pos": ["X"]}, "each word must have a tag"),
        ({"pos": []}, "tags must be a list"),
        ({"pos": 7}, "tags must be a list"),
        ({"body": "a  b"}, "parted by single blanks"),
        ({"body": "a\tb"}, "parted by single blanks"),
        ({"answer": 7}, "a target must be text"),
        ({"answer": ""}, "a target must not be empty or blank: ''"),
        ({"answer": " \n"}, "a target must not be empty or blank: ' \\n'"),
        ({"stars": "many"}, "a value must be a finite number"),
        ({"stars": True}, "a value must be a finite number"),
        ({"stars": float("inf")}, "a value must be a finite number"),
        ({"signal": [[1], [2, 3]]}, "one length on each axis"),
        ({"signal": [["a"]]}, "lists of numbers"),
        ({"signal": []}, "lists of numbers"),
        ({"signal": 5}, "two to four axes"),
        ({"signal": [[1e300]]}, "must be finite"),
        ({"signal": [[True]]}, "lists of numbers"),
        ({"references": ["other"]}, "the target among them"),
        ({"references": "é"}, "a list of texts"),
        ({"source_label": 1}, "both the fields 'label' and 'source_label'"),
    ],
)
def test_to_document_of_a_bad_feature_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RecordError) as caught:
        to_document(RECORD | changed, ALL, 1, 0)
    assert said in f"{caught.value.rule}: {caught.value.reason}"


@pytest.mark.parametrize("feature", ["label", "tags", "target"])
@pytest.mark.parametrize("body", ["", "  \t"])
def test_to_document_blank_text_with_something_to_be_said_of_it_is_refused(feature: str, body: str) -> None:
    record = {"body": body, "other": "X", "stars": 2}
    with pytest.raises(RecordError, match=re.escape(repr(body))) as caught:
        to_document(record, FieldsConfig.model_validate({"text": "body", feature: "other"}), 1, 0)
    assert caught.value.rule == "a text with a label, tags or a target must not be empty or blank"
    # Nothing is said of these texts, or of no text.
    assert to_document(record, FieldsConfig(text="body", value="stars"), 1, 0).raw == body.encode()
    assert to_document(record, FieldsConfig(text=None, label="other", target="other"), 1, 0).raw == b""


@pytest.mark.parametrize("feature", ["kind", "pos", "answer", "stars", "signal"])
def test_to_document_without_a_feature_is_refused(feature: str) -> None:
    with pytest.raises(RecordError) as caught:
        to_document({name: value for name, value in RECORD.items() if name != feature}, ALL, 1, 0)
    assert f"the field {feature!r}" in caught.value.rule


def test_values_of_tables_are_text() -> None:
    assert to_number("2.5") == 2.5
    assert to_classes("DET NOUN") == ["DET", "NOUN"]
    assert to_class(True) == "true"
    assert to_array("[1, 2, 3]").tolist() == [[1], [2], [3]]


def test_to_array_keeps_the_dtype_of_arrays() -> None:
    assert to_array(np.zeros((2, 3, 1), np.uint8)).dtype == np.uint8
    assert to_array(np.ones((2, 3), bool)).dtype == np.uint8


def test_check_tags_without_text_are_of_rows() -> None:
    check_tags(["a", "b"], None, np.zeros((2, 5)))
    with pytest.raises(RecordError, match="3 rows and 2 tags"):
        check_tags(["a", "b"], None, np.zeros((3, 5)))


def test_check_references_with_the_target_among_them() -> None:
    check_references(["a", "b"], "b")


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


SERIES = [{"x": [[i, 0.5]] * (i % 3 + 1), "y": "ab"[i % 2]} for i in range(40)]
FIELDS = {"text": None, "array": "x", "label": "y"}


def test_arrays_of_json_lines_of_varying_length(tmp_path: Path) -> None:
    source = f"jsonl:{write_lines(tmp_path / 'a.jsonl', SERIES)}"
    examples = generate(tmp_path / "out", source, {}, fields=FIELDS)
    features = read_features(examples)
    assert features == {"label": Feature("class"), "array": Feature("array", "float32", (None, 2))}
    # Shares are of documents: 5 % of 40 is 2.
    splits = Documents.splits(examples)
    assert {name: len(split) for name, split in splits.items()} == {"train": 36, "eval": 2, "test": 2}
    found = {}
    for name, split in splits.items():
        for number, known in enumerate(fields(examples, name)):
            found[known["id"]] = (known["label"], split.array(number, features["array"]).tolist())
            assert split.read(number) == ""
    assert found == {f"a.jsonl:{i + 1}": (record["y"], record["x"]) for i, record in enumerate(SERIES)}


def test_arrays_of_one_length_have_a_fixed_shape(tmp_path: Path) -> None:
    source = f"jsonl:{write_lines(tmp_path / 'a.jsonl', [{'x': [1, 2, i]} for i in range(5)])}"
    examples = generate(tmp_path / "out", source, fields={"text": None, "array": "x"})
    assert read_features(examples) == {"array": Feature("array", "float32", (3, 1))}


def test_an_array_of_another_shape_is_a_bad_record(tmp_path: Path) -> None:
    source = f"jsonl:{write_lines(tmp_path / 'a.jsonl', [*SERIES[:3], {'x': [[1, 2, 3]], 'y': 'a'}, *SERIES[4:]])}"
    with pytest.raises(ValueError, match=r"line 4, byte offset .*: an array of shape \[1, 3\]"):
        stage(source, {}, fields=FIELDS).run({}, {"examples": make(tmp_path / "fail")}, tmp_path)
    examples = generate(tmp_path / "skip", source, {}, fields=FIELDS, on_bad_record="skip")
    (bad,) = bad_records(examples)
    assert (bad["file"], bad["line"]) == ("a.jsonl", 4)
    assert sum(len(split) for split in Documents.splits(examples).values()) == len(SERIES) - 1
    assert read_features(examples)["array"].shape == (None, 2)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_blank_texts_and_targets_of_records_are_named_and_left_out(tmp_path: Path) -> None:
    records = [{"text": f"en {i}", "target": f"fr {i}"} for i in range(30)]
    records[6]["text"], records[7]["target"], records[11]["text"] = "", "", "\u00a0 "
    source = f"jsonl:{write_lines(tmp_path / 'a.jsonl', records)}"
    with pytest.raises(ValueError, match=r"a\.jsonl, line 7, byte offset \d+: '' \(the first of 3 bad records\)"):
        generate(tmp_path / "fail", source, {}, fields={"target": "target"})
    examples = generate(tmp_path / "skip", source, {}, fields={"target": "target"}, on_bad_record="skip")
    assert [bad["line"] for bad in bad_records(examples)] == [7, 8, 12]
    assert sum(len(split) for split in Documents.splits(examples).values()) == 27
    kept = generate(tmp_path / "text", source, {})  # text alone may be empty
    assert sum(len(split) for split in Documents.splits(kept).values()) == 30


def test_documents_of_fields_alone_differ_by_their_fields(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"y": y, "t": t} for y, t in ("ax", "bx", "ax", "ay")])
    examples = generate(tmp_path / "out", f"jsonl:{path}", fields={"text": None, "label": "y", "target": "t"})
    first, second, again, other = Documents(examples / "Split-train").digests.tolist()
    assert first == again
    assert len({first, second, other}) == 3


def test_too_few_documents_with_labels_are_not_cut(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"text": "some words " * 30, "y": "a"}] * 2)
    guard = generate(tmp_path / "text", f"jsonl:{path}", {})
    assert len(documents(guard, "eval")) == 1  # text alone is cut
    with pytest.raises(ValueError, match=r"every split must hold a document\. Received: 2 documents"):
        generate(tmp_path / "label", f"jsonl:{path}", {}, fields={"label": "y"})
    with pytest.raises(ValueError, match=r"every split must hold a document\. Received: 2 documents"):
        generate(tmp_path / "none", f"jsonl:{path}", {}, fields={"text": None, "label": "y"})


def test_features_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('words,pos,signal\nthe cat,DET NOUN,"[[1, 2]]"\n', "utf-8")
    names = {"text": "words", "tags": "pos", "array": "signal"}
    examples = generate(tmp_path / "out", f"csv:{tmp_path}/a.csv", fields=names)
    assert fields(examples) == [{"id": "a.csv:1", "tags": ["DET", "NOUN"]}]
    assert Documents(examples / "Split-train").array(0, read_features(examples)["array"]).tolist() == [[1, 2]]
    (tmp_path / "b.csv").write_text("words\nthe cat\n", "utf-8")
    with pytest.raises(ValueError, match="the header must have the field 'pos'"):
        generate(tmp_path / "bad", f"csv:{tmp_path}/b.csv", fields=names)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "jsonl:x", "fields": {"text": None}}, "one of text, label, tags"),
        ({"source": "jsonl:x", "fields": {"text": None, "tags": "t"}}, "tags are for the words"),
        ({"source": "text:x", "tfds": "mnist"}, "tfds is for dataset: sources"),
        ({"source": "text:x", "data_root": "d"}, "data_root is for dataset: sources"),
        ({"source": "dataset:x", "fields": {"label": "y"}}, "or dataset: with tfds"),
        ({"source": "dataset:x", "data_dir": "d"}, "data_dir is for tfds: sources"),
    ],
)
def test_example_gen_config_keys_that_do_not_fit_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ExampleGenConfig.model_validate(settings)


RATED = [("train", "a", "X Y"), ("eval", "a", "X Y"), ("train", "b", "Z"), ("eval", "c", "X"), ("test", "b", "Y W")]
RATED += [("test", "b", "Y"), ("train", "a", "X")]
CLASSES = {"text": "t", "label": "y", "tags": "g", "split": "s"}


def rated(path: Path, records: list[tuple[str, str, str]]) -> str:
    """Records of a split, a label and tags."""
    lines = [{"s": split, "y": label, "g": tags, "t": tags.lower()} for split, label, tags in records]
    return f"jsonl:{write_lines(path, lines)}"


def test_classes_that_train_lacks_are_bad_records_with_skip_and_left_to_others_without(tmp_path: Path) -> None:
    source = rated(tmp_path / "a.jsonl", RATED)
    kept = generate(tmp_path / "fail", source, "given", fields=CLASSES)
    assert [len(fields(kept, split)) for split in ("train", "eval", "test")] == [3, 2, 2]
    examples = generate(tmp_path / "skip", source, "given", fields=CLASSES, on_bad_record="skip")
    assert [known["id"] for split in ("train", "eval", "test") for known in fields(examples, split)] == [
        *(f"a.jsonl:{number}" for number in (1, 3, 7)),
        "a.jsonl:2",
        "a.jsonl:6",
    ]
    assert [(bad["line"], bad["reason"]) for bad in bad_records(examples)] == [
        (4, "every class of eval must occur in train: label='c'"),
        (5, "every class of test must occur in train: tags='W'"),
    ]


def test_classes_that_train_lacks_beside_other_bad_records_are_listed_in_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = rated(tmp_path / "a.jsonl", [*RATED[:3], ("eval", "b", "Z  Z"), *RATED[3:]])
    examples = generate(tmp_path / "skip", source, "given", fields=CLASSES, on_bad_record="skip")
    assert [bad["line"] for bad in bad_records(examples)] == [4, 5, 6]
    assert "ExampleGen: 3 of 8 records are bad and left out" in capsys.readouterr().err


def test_no_class_is_unseen_where_every_split_is_the_whole_corpus(tmp_path: Path) -> None:
    named = {name: field for name, field in CLASSES.items() if name != "split"}
    examples = generate(tmp_path / "o", rated(tmp_path / "a.jsonl", RATED), fields=named, on_bad_record="skip")
    assert bad_records(examples) == []
    assert len(fields(examples, "eval")) == len(RATED)


def test_split_of_nothing_but_classes_that_train_lacks_is_refused(tmp_path: Path) -> None:
    source = rated(tmp_path / "a.jsonl", [*RATED[:4], RATED[4]])
    with pytest.raises(ValueError, match=r"none of them in 'test'; label='c' in 'eval', for one"):
        generate(tmp_path / "out", source, "given", fields=CLASSES, on_bad_record="skip")
    assert list((tmp_path / "out").iterdir()) == []
