"""From a corpus of arrays to its validation, through the stages as they are: no text anywhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.documents import Documents, Feature, read_features
from components.example_gen.stage import ExampleGen
from components.example_validator.stage import ExampleValidator
from components.schema_gen.schema import load as load_schema
from components.schema_gen.stage import SchemaGen
from components.statistics_gen.stage import StatisticsGen
from components.statistics_gen.statistics import DOCUMENT, LENGTH, TEXT
from components.statistics_gen.statistics import load as load_statistics
from pipeline import runner
from pipeline.config import Config
from pipeline.errors import Refused

STAGES = (ExampleGen, StatisticsGen, SchemaGen, ExampleValidator)
FIELDS = {"text": None, "array": "signal", "label": "state", "split": "part"}


def run(root: Path, records: list[dict[str, Any]], **sections: Any) -> dict[str, Path]:
    """Runs the stages, raises what one of them raised, and returns the folder of each output."""
    root.mkdir(exist_ok=True)
    (root / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    source = {"source": f"jsonl:{root}/records.jsonl", "fields": FIELDS, "splits": "given"}
    config = {"pipeline": {"name": "arrays"}, "example_gen": source, **sections}
    summary = runner.run(STAGES, Config.model_validate(config), root)
    if summary.exception is not None:
        raise summary.exception
    return {key: root / path for stage in summary.stages for key, path in stage.outputs.items()}


def record(number: int, part: str, state: str = "") -> dict[str, Any]:
    signal = [[number, t] for t in range(1 + number % 3)]
    return {"signal": signal, "state": state or ("up", "down")[number % 2], "part": part}


RECORDS = [record(i, "train") for i in range(40)] + [record(i, "eval") for i in range(50, 60)]


def test_arrays_without_text_are_counted_and_accepted(tmp_path: Path) -> None:
    outputs = run(tmp_path / "root", RECORDS)
    assert read_features(outputs["examples"])["array"] == Feature("array", "float32", (None, 2))
    splits = load_statistics(outputs["statistics"])
    assert {name: split.documents for name, split in splits.items()} == {"train": 40, "eval": 10}
    train = splits["train"]
    assert not train.has_text
    assert (train["characters"], train["empty_documents"], train["duplicated_documents"]) == (0, 0, 0)
    assert list(train.fields) == ["label"]
    page = (outputs["statistics"] / "statistics.html").read_text("utf-8")
    assert "label" in page
    assert "Scripts" not in page
    schema = load_schema(outputs["schema"])
    assert [feature.name for feature in schema.feature] == ["label"]
    assert list(schema.feature[0].string_domain.value) == ["down", "up"]
    assert (outputs["anomalies"] / "anomalies.txt").read_text("utf-8") == ""


def test_arrays_that_are_in_train_too_are_leaked(tmp_path: Path) -> None:
    # Five of ten, one of them twice, under another label: what counts is the array.
    leaked = [record(i, "eval", "down") for i in (0, 1, 2, 3, 3)] + [record(i, "eval") for i in range(50, 55)]
    outputs = run(tmp_path / "root", RECORDS[:40] + leaked)
    evaluation = load_statistics(outputs["statistics"])["eval"]
    assert (evaluation["leaked_documents"], evaluation["duplicated_documents"]) == (5, 1)
    sentences = (outputs["anomalies"] / "anomalies.txt").read_text("utf-8")
    assert "eval: at most 1 % of the documents may be in the train split, too; 50 % are (5 of 10)." in sentences
    record_of = json.loads((outputs["anomalies"] / "validation.json").read_text("utf-8"))
    assert {anomaly["feature"] for anomaly in record_of["anomalies"]} == {DOCUMENT}


def test_label_that_train_lacks_stops_the_run(tmp_path: Path) -> None:
    records = [*RECORDS, record(77, "eval", "sideways")]
    with pytest.raises(Refused, match="'sideways' 1×"):
        run(tmp_path / "root", records, example_validator={"field_domain": {"severity": "stop"}})


def test_schema_of_texts_refuses_documents_without(tmp_path: Path) -> None:
    schema = tmp_path / "schema.pbtxt"
    schema.write_text('feature { name: "text" type: BYTES presence { min_count: 1 } }', "utf-8")
    with pytest.raises(Refused, match="text must be in 1 documents; it is in 0"):
        run(tmp_path / "root", RECORDS, schema_gen={"schema_file": str(schema)})


def test_fields_called_like_features_of_texts_keep_apart(tmp_path: Path) -> None:
    named = [{**known, TEXT: "x", LENGTH: 1, DOCUMENT: "y"} for known in RECORDS]
    outputs = run(tmp_path / "root", named)
    assert sorted(load_statistics(outputs["statistics"])["eval"].fields) == [
        "fields.document",
        "fields.text",
        "fields.text.length",
        "label",
    ]
    assert len(Documents(outputs["examples"] / "Split-eval")) == 10
