"""Where a data set's files are looked for, what the error says, and that the folder is no part of the fingerprint."""

from pathlib import Path

import numpy as np
import pytest

from components.documents import Feature, read_features
from components.example_gen.datasets.locate import ROOT_VARIABLE, locate
from components.example_gen.datasets.registry import DATA_SETS
from pipeline.config import ExampleGenConfig
from tests.components.example_gen.corpora import bad_records, documents, fields, generate, stage
from tests.components.example_gen.datasets.raw import png, put

POLARITY = {"sentence_polarity/rt-polarity.pos": "fine\ngood\n\n", "sentence_polarity/rt-polarity.neg": "dull\n"}


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)


def config(**settings: object) -> ExampleGenConfig:
    return ExampleGenConfig.model_validate({"source": "dataset:sentence_polarity", **settings})


def test_locate_the_variable_comes_before_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "key", POLARITY)
    put(tmp_path / "variable", POLARITY)
    settings = config(data_root=str(tmp_path / "key"))
    assert locate(settings).folder == tmp_path / "key/sentence_polarity"
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "variable"))
    assert locate(settings).folder == tmp_path / "variable/sentence_polarity"


def test_locate_without_a_folder_is_tfds(tmp_path: Path) -> None:
    put(tmp_path, POLARITY)
    settings = config(tfds="some_set:1.0.0", data_root=str(tmp_path))
    assert locate(settings).kind == "dataset"  # the folder comes first
    assert locate(config(tfds="some_set:1.0.0"))[:2] == ("tfds", "some_set:1.0.0")


def test_locate_with_neither_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=ROOT_VARIABLE) as caught:
        locate(config(data_root=str(tmp_path)))
    assert str(tmp_path / "sentence_polarity") in str(caught.value)
    assert "example_gen.data_root" in str(caught.value)
    assert "example_gen.tfds" in str(caught.value)
    with pytest.raises(ValueError, match="no data root in which 'sentence_polarity' would be"):
        locate(config())


def test_data_set_folder_without_its_files_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"sentence_polarity/rt-polarity.pos": "fine"})
    with pytest.raises(ValueError, match=r"must hold rt-polarity\.neg"):
        stage("dataset:sentence_polarity", data_root=str(tmp_path)).environment(tmp_path)


def test_data_set_fingerprint_is_of_the_files_and_not_of_the_folder(tmp_path: Path) -> None:
    stages = [
        stage("dataset:sentence_polarity", data_root=str(put(tmp_path / name, POLARITY))) for name in ("here", "there")
    ]
    here, there = stages
    assert here.settings() == there.settings()
    before = here.environment(tmp_path)
    assert there.environment(tmp_path) == before
    put(tmp_path / "there", {"sentence_polarity/rt-polarity.pos": "fine"})
    assert there.environment(tmp_path) != before


def test_data_set_images_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    put(tmp_path, {"twemoji_32px/names.tsv": "", "twemoji_32px/images/a.png": b"one"})
    twemoji = stage("dataset:twemoji_32px", data_root=str(tmp_path))
    before = twemoji.environment(tmp_path)
    put(tmp_path, {"twemoji_32px/images/a.png": b"two"})
    assert twemoji.environment(tmp_path) != before


def test_data_set_bad_records_fail_or_are_listed(tmp_path: Path) -> None:
    put(tmp_path, POLARITY)
    with pytest.raises(ValueError, match=r"rt-polarity\.pos, line 3, byte offset 10: an empty line") as caught:
        generate(tmp_path / "fail", "dataset:sentence_polarity", data_root=str(tmp_path))
    assert "Remove the line, or leave bad records out" in str(caught.value)
    examples = generate(tmp_path / "out", "dataset:sentence_polarity", data_root=str(tmp_path), on_bad_record="skip")
    assert [text for _, text in documents(examples)] == [b"dull", b"fine", b"good"]
    assert bad_records(examples) == [
        {
            "file": "rt-polarity.pos",
            "offset": 10,
            "line": 3,
            "reason": "a sentence must not be empty: an empty line",
        }
    ]
    assert read_features(examples) == {"text": Feature("text"), "label": Feature("class")}


def test_data_set_id_that_comes_twice_is_a_bad_record(tmp_path: Path) -> None:
    rows = "image\tcategory\ten\tfr\n" + "a.png\tx\tA.\tUn.\n" * 2
    files = {"captions.tsv": rows, "images/a.png": png(np.zeros((64, 64, 3), np.uint8))}
    put(tmp_path, {f"tuxpaint_stamps_64px/{name}": content for name, content in files.items()})
    with pytest.raises(ValueError, match=r"the id of an earlier record\. Make the ids differ, or leave bad"):
        generate(tmp_path / "out", "dataset:tuxpaint_stamps_64px", data_root=str(tmp_path))


def test_data_set_that_does_not_come_divided_has_no_given_splits(tmp_path: Path) -> None:
    put(tmp_path, POLARITY)
    with pytest.raises(ValueError, match="with `splits: given` the data set must come divided"):
        generate(tmp_path / "out", "dataset:sentence_polarity", "given", data_root=str(tmp_path))


def test_data_set_given_splits_and_an_eval_split_out_of_train(tmp_path: Path) -> None:
    story = "".join(f"1 Mary ran {i}.\n2 Where is Mary?\thall\t1\n" for i in range(60))
    put(tmp_path, {f"babi_qa1/qa1_single-supporting-fact_{split}.txt": story for split in ("train", "test")})
    examples = generate(tmp_path / "out", "dataset:babi_qa1", "given", data_root=str(tmp_path))
    sizes = {split: len(fields(examples, split)) for split in ("train", "eval", "test")}
    assert sizes["test"] == 60
    assert sizes["train"] + sizes["eval"] == 60
    assert 1 <= sizes["eval"] <= 3


def test_registry_names_are_those_of_the_documentation() -> None:
    page = (Path(__file__).parents[4] / "docs" / "datasets.md").read_text("utf-8")
    assert [name for name in DATA_SETS if f"`{name}`" not in page] == []
