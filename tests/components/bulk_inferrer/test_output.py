"""Answers as JSON lines and as TFRecords, read back by what others read them with."""

import json
import math
from pathlib import Path

from components.bulk_inferrer.output import example_record, json_line
from components.heavy_imports import import_quietly

ROW = {
    "key": "a.txt:1",
    "seed": 2**53 - 1,
    "text": "zwölf\0".encode(),
    "log_prob": -1.5,
    "finished": True,
    "tags": [b"x", b"y"],
    "probabilities": [[0.25, 0.75], [0.5, 0.5]],
    "nothing": [],
}


def test_json_line_is_one_line_of_plain_values() -> None:
    line = json_line(ROW)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    expected = {**ROW, "text": "zwölf\0", "tags": ["x", "y"]}
    assert json.loads(line) == expected
    assert list(json.loads(line)) == list(ROW)


def test_json_line_has_no_bytes_and_numbers_that_json_lacks() -> None:
    line = json_line({"text": b"a\xff", "log_prob": -math.inf, "probabilities": [math.nan, 1.0]})
    assert json.loads(line, parse_constant=lambda name: name) == {
        "text": "a\ufffd",
        "log_prob": None,
        "probabilities": [None, 1.0],
    }


def test_example_record_is_what_tensorflow_reads(tmp_path: Path) -> None:
    tf = import_quietly("tensorflow")
    path = tmp_path / "rows.tfrecord"
    path.write_bytes(example_record(ROW) + example_record({"key": "b", "text": b"\xff"}))
    first, second = (tf.train.Example.FromString(each.numpy()) for each in tf.data.TFRecordDataset(str(path)))
    feature = first.features.feature
    assert set(feature) == set(ROW)
    assert list(feature["key"].bytes_list.value) == [b"a.txt:1"]
    assert list(feature["seed"].int64_list.value) == [2**53 - 1]
    assert list(feature["text"].bytes_list.value) == ["zwölf\0".encode()]
    assert list(feature["log_prob"].float_list.value) == [-1.5]
    assert list(feature["finished"].int64_list.value) == [1]
    assert list(feature["tags"].bytes_list.value) == [b"x", b"y"]
    assert list(feature["probabilities"].float_list.value) == [0.25, 0.75, 0.5, 0.5]
    assert list(feature["nothing"].bytes_list.value) == []
    assert list(second.features.feature["text"].bytes_list.value) == [b"\xff"]
