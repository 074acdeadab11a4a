"""TensorFlow Datasets, offline: a builder made from local files, and mocked data of three well-known sets."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from components.documents import Documents, Feature, read_features
from components.example_gen.datasets.locate import ROOT_VARIABLE
from pipeline.config_file import load_config
from tests.components.example_gen.corpora import documents, everything, fields, generate, stage, texts

tfds = pytest.importorskip("tensorflow_datasets")
REPOSITORY = Path(__file__).parents[3]
# TFDS 4.9.10 reads its metadata with what protobuf 6 is about to drop.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


class LocalReviews(tfds.core.GeneratorBasedBuilder):
    """Reads `train.txt` and `test.txt` of a folder, a review a line."""

    VERSION = tfds.core.Version("1.2.0")
    pkg_dir_path = Path(__file__).parent  # where TFDS would look for a README
    folder = Path()

    def _info(self) -> "tfds.core.DatasetInfo":
        features = {
            "review": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=["neg", "pos"]),
            "stars": np.float32,
            "words": tfds.features.Sequence(tfds.features.Text()),
            "pair": tfds.features.Translation(["en", "fr"]),
            "image": tfds.features.Image(shape=(2, 2, 3)),
            "path": tfds.features.Sequence(np.float32),
            "table": tfds.features.Tensor(shape=(2, 2), dtype=np.int64),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: object) -> dict[str, Iterator]:
        return {name: self._generate_examples(self.folder / f"{name}.txt") for name in ("train", "test", "rest")}

    def _generate_examples(self, path: Path) -> Iterator[tuple[int, dict]]:
        for number, line in enumerate(path.read_text("utf-8").splitlines()):
            yield (
                number,
                {
                    "review": line,
                    "label": number % 2 if number else -1,
                    "stars": number + 0.5,
                    "words": line.split(),
                    "pair": {"en": f"yes {number}", "fr": f"oui {number}"},
                    "image": np.zeros((2, 2, 3), np.uint8),
                    "path": [0.5, 9.0],
                    "table": np.zeros((2, 2), np.int64),
                },
            )


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data_dir in which nothing is prepared yet, of a data set whose files are there."""
    for name, lines in (("train", 9), ("test", 3), ("rest", 2)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{name} é {i}\n" for i in range(lines)), encoding="utf-8")
    monkeypatch.setattr(LocalReviews, "folder", tmp_path)
    return tmp_path / "data"


REVIEW = {"fields": {"text": "review"}}


def test_tfds_examples_are_documents_with_their_other_features(local: Path, tmp_path: Path) -> None:
    examples = generate(tmp_path / "out", "tfds:local_reviews", "given", data_dir=str(local), **REVIEW)
    found = [*documents(examples, "train"), *documents(examples, "eval")]
    assert sorted(text for _, text in found) == [f"train é {i}".encode() for i in range(9)]
    assert sorted(name for name, _ in found) == [f"train:{i}" for i in range(1, 10)]
    assert sorted(text for _, text in documents(examples, "test")) == [f"test é {i}".encode() for i in range(3)]
    known = {entry["words"][2]: entry for split in ("train", "eval") for entry in fields(examples, split)}
    assert known["0"] | {"id": ""} == {
        "id": "",
        "label": None,
        "stars": 0.5,
        "words": ["train", "é", "0"],
        "path": [0.5, 9.0],
        "pair": {"en": "yes 0", "fr": "oui 0"},
    }
    assert [known[str(i)]["label"] for i in range(1, 4)] == ["pos", "neg", "pos"]


def test_tfds_not_given_is_all_splits_and_nested_text(local: Path, tmp_path: Path) -> None:
    examples = generate(tmp_path / "out", "tfds:local_reviews", data_dir=str(local), fields={"text": "pair.fr"})
    assert sorted(text for _, text in documents(examples)) == sorted(
        f"oui {i}".encode() for count in (9, 3, 2) for i in range(count)
    )
    assert all("fr" not in entry["pair"] for entry in fields(examples))


def test_tfds_features_of_numbers_become_arrays(local: Path, tmp_path: Path) -> None:
    cases = (
        ("image", Feature("array", "uint8", (2, 2, 3)), np.zeros((2, 2, 3))),
        ("table", Feature("array", "int64", (2, 2)), np.zeros((2, 2))),
        ("path", Feature("array", "float32", (2, 1)), [[0.5], [9]]),
    )
    for name, feature, expected in cases:
        named = {"text": "review", "array": name, "tags": "words"}
        examples = generate(tmp_path / name, "tfds:local_reviews", "given", data_dir=str(local), fields=named)
        assert read_features(examples)["array"] == feature
        split = Documents(examples / "Split-test")
        for number, known in enumerate(fields(examples, "test")):
            array = split.array(number, feature)
            np.testing.assert_array_equal(array, expected)
            assert name not in known


def test_tfds_label_and_target_are_features(local: Path, tmp_path: Path) -> None:
    named = {"text": "pair.en", "target": "pair.fr", "label": "label"}
    settings = {"data_dir": str(local), "fields": named}
    with pytest.raises(ValueError, match=r"Received: train, example \d: None \(the first of 2 bad records\)"):
        generate(tmp_path / "fail", "tfds:local_reviews", **settings)  # the first of train and of test has no label
    examples = generate(tmp_path / "out", "tfds:local_reviews", **settings, on_bad_record="skip")
    assert read_features(examples) == {"text": Feature("text"), "label": Feature("class"), "target": Feature("text")}
    found = fields(examples)
    assert {known["target"].removeprefix("oui ") for known in found} == {str(i) for i in range(1, 9)}
    assert {known["label"] for known in found} == {"neg", "pos"}


@pytest.mark.parametrize(("name", "said"), [("review", "a feature of numbers"), ("img", "a feature of the data set")])
def test_tfds_array_of_no_numbers_is_refused(local: Path, tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        generate(tmp_path / "o", "tfds:local_reviews", data_dir=str(local), fields={"text": None, "array": name})


def test_tfds_stands_in_for_a_data_set_that_is_not_there(local: Path, tmp_path: Path) -> None:
    settings = {"data_dir": str(local), "data_root": str(tmp_path / "none"), "tfds": "local_reviews"}
    named = {"text": "pair.en", "target": "pair.fr"}
    source = "dataset:multi30k_en_fr"
    examples = generate(tmp_path / "out", source, "given", **settings, fields=named)
    direct = generate(tmp_path / "tfds", "tfds:local_reviews", "given", data_dir=str(local), fields=named)
    assert everything(examples) == everything(direct)
    with pytest.raises(ValueError, match="must name the features target, text"):
        generate(tmp_path / "other", source, "given", **settings, fields={"text": "pair.en"})


def test_tfds_in_place_of_a_data_set_is_told_in_a_line_before_it_is_prepared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    settings = {"data_dir": str(tmp_path), "tfds": "no_such_set", "fields": {"label": "label"}}
    for root, missing in (({"data_root": str(tmp_path / "typo")}, f"no folder {tmp_path}/typo/"), ({}, "no data root")):
        with pytest.raises(ValueError, match="tfds:no_such_set"):
            stage("dataset:sentence_polarity", **settings, **root).environment(tmp_path)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"ExampleGen: {missing}")
        assert line.endswith(": reading tfds:no_such_set instead.")


def test_sentiment_recipe_without_its_files_reads_the_labelled_splits_of_imdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = {
        name: [(i, {"text": f"{name} {i}", "label": label if label is not None else i % 2}) for i in range(40)]
        for name, label in (("train", None), ("test", None), ("unsupervised", -1))
    }
    text, label = tfds.features.Text(), tfds.features.ClassLabel(names=["neg", "pos"])
    tfds.dataset_builders.store_as_tfds_dataset(
        name="imdb_reviews",
        config="plain_text",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"text": text, "label": label}),
        split_datasets=splits,
        data_dir=tmp_path / "tfds",
        file_format="array_record",
    )
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "none"))
    recipe = load_config(REPOSITORY / "configs/sentiment.yaml", [f"example_gen.data_dir={tmp_path / 'tfds'}"])
    assert recipe.example_gen.splits not in ("given", "same")  # guard: all splits would be read

    examples = generate(tmp_path / "out", **recipe.example_gen.model_dump())

    found = [text.decode() for split in ("train", "eval", "test") for _, text in documents(examples, split)]
    assert sorted(found) == sorted(f"{name} {i}" for name in ("train", "test") for i in range(40))
    assert {known["label"] for known in fields(examples)} == {"neg", "pos"}


def test_tfds_with_labels_but_no_split_of_a_known_name_is_all_splits(described, tmp_path: Path) -> None:
    described("imdb_reviews/plain_text", {"first": 4, "second": 4})
    examples = mocked(tmp_path, "tfds:imdb_reviews/plain_text", "same", fields={"label": "label"})
    assert sorted({entry["id"].partition(":")[0] for entry in fields(examples)}) == ["first", "second"]


def test_tfds_tfrecords_give_the_documents_of_array_records(local: Path, tmp_path: Path) -> None:
    arrays = generate(tmp_path / "a", "tfds:local_reviews", data_dir=str(local), **REVIEW)
    builder = tfds.builder("local_reviews", data_dir=tmp_path / "tfrecord")
    builder.download_and_prepare(file_format="tfrecord")
    with pytest.raises(NotImplementedError):  # guard: another way of reading
        builder.as_data_source(split="train")
    records = generate(tmp_path / "t", "tfds:local_reviews", data_dir=str(tmp_path / "tfrecord"), **REVIEW)
    assert everything(records) == everything(arrays)


def test_tfds_fingerprint_changes_with_the_data_and_not_with_the_preparation(local: Path, tmp_path: Path) -> None:
    corpus = stage("tfds:local_reviews", data_dir=str(local), **REVIEW)
    before = corpus.environment(tmp_path)
    assert (local / "local_reviews" / "1.2.0").is_dir()  # now it is prepared
    assert corpus.environment(tmp_path) == before
    with (tmp_path / "train.txt").open("a", encoding="utf-8") as file:
        file.write("one more\n")
    elsewhere = stage("tfds:local_reviews", data_dir=str(tmp_path / "again"), **REVIEW)
    assert elsewhere.environment(tmp_path) != before


def test_tfds_missing_feature_names_the_example(local: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must have the field 'text' .*Received: train, example 0: only "):
        generate(tmp_path / "out", "tfds:local_reviews", data_dir=str(local))


def test_tfds_unknown_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="source='tfds:no_such_set'") as caught:
        stage("tfds:no_such_set", data_dir=str(tmp_path)).environment(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_tfds_prepared_array_records_are_read_without_tensorflow_and_without_its_code(
    local: Path, tmp_path: Path
) -> None:
    stage("tfds:local_reviews", data_dir=str(local), **REVIEW).environment(tmp_path)
    code = f"""if True:
        import sys
        from components.example_gen.tfds import prepared, read_examples
        from pipeline.config import FieldsConfig
        prepared("local_reviews", {str(local)!r})
        events = read_examples("local_reviews", {str(local)!r}, "test", 1, 3, FieldsConfig(text="review"))
        print(len(list(events)), "tensorflow" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.stdout.split() == ["2", "False"], done.stderr


# ---- Mocked data of well-known sets: random values in the real features ----------------------------------------------


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str, dict[str, int]], None]:
    """Says which splits a data set has, as its preparation would; the examples are mocked."""

    def describe(name: str, splits: dict[str, int]) -> None:
        builder = tfds.builder(name, data_dir=tmp_path / "data")
        template = tfds.core.ShardedFileTemplate(
            data_dir=builder.data_path, dataset_name=builder.name, filetype_suffix="array_record"
        )
        infos = [
            tfds.core.SplitInfo(name=split, shard_lengths=[count], num_bytes=100, filename_template=template)
            for split, count in splits.items()
        ]
        builder.info.set_splits(tfds.core.splits.SplitDict(infos))
        builder.data_path.mkdir(parents=True)
        builder.info.write_to_directory(builder.data_path)

    return describe


def mocked(folder: Path, source: str, splits: str, **settings: object) -> Path:
    with tfds.testing.mock_data(num_examples=4, data_dir=folder / "data"):
        return generate(folder / "out", source, splits, data_dir=str(folder / "data"), **settings)


def test_tfds_tiny_shakespeare(described, tmp_path: Path) -> None:
    described("tiny_shakespeare", {"train": 4, "validation": 4, "test": 4})
    examples = mocked(tmp_path, "tfds:tiny_shakespeare", "given")
    assert {name: len(documents(examples, name)) for name in ("train", "eval", "test")} == dict.fromkeys(
        ("train", "eval", "test"), 4
    )
    assert all(texts(examples).values())


def test_tfds_imdb_reviews(described, tmp_path: Path) -> None:
    described("imdb_reviews/plain_text", {"train": 4, "test": 4, "unsupervised": 4})
    examples = mocked(tmp_path, "tfds:imdb_reviews/plain_text", "given")
    assert len(documents(examples, "train")) + len(documents(examples, "eval")) == 4  # eval is taken from train
    assert len(documents(examples, "test")) == 4
    assert {entry["label"] for entry in fields(examples, "test")} <= {"neg", "pos"}


def test_tfds_translation(described, tmp_path: Path) -> None:
    name = "ted_hrlr_translate/pt_to_en"
    described(name, {"train": 4, "validation": 4, "test": 4})
    examples = mocked(tmp_path, f"tfds:{name}", "given", fields={"text": "en"})
    assert len(documents(examples, "train")) == 4
    assert [list(entry) for entry in fields(examples, "eval")] == [["id", "pt"]] * 4
