"""The text that a model was trained on, by the lineage of its root."""

import json

import pytest

from components.documents import DocumentWriter
from components.served.training_text import copies_of, training_text
from components.transform.text_options import TextOptions
from components.transform.tokenizers import IDENTITY, CharTokenizer, WordTokenizer
from pipeline.errors import UsageError
from pipeline.metadata import MetadataStore, StoredArtifact


def make_version(root, number):
    version = root / "serving" / "name" / str(number)
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    return version


def make_examples(folder, documents):
    for split in ("eval", "train"):
        (folder / f"Split-{split}").mkdir(parents=True)
        with DocumentWriter(folder / f"Split-{split}") as writer:
            for name, text in documents.items():
                text = f"{split} {text}"
                writer.write(text.encode(), len(text), {"id": name})


def record(store, stage, inputs, outputs):
    """A completed execution; inputs and outputs are {type: folder}."""
    stored = [
        {kind.lower(): StoredArtifact(kind, path, str(path)) for kind, path in folders.items()}
        for folders in (inputs, outputs)
    ]
    store.complete_execution(store.start_execution(stage, stage), 1.0, *stored)


@pytest.fixture
def root(tmp_path):
    """Two models that were pushed, each trained on a text of its own."""
    with MetadataStore(tmp_path) as store:
        for number, documents in enumerate([{"one": "ab\né", "two": "c"}, {"other": "x"}], 1):
            names = ("examples", "model", "exported_model")
            examples, model, exported = (tmp_path / name / str(number) / name for name in names)
            pushed = tmp_path / "pusher" / str(number) / "pushed_model"
            pushed.mkdir(parents=True)
            make_version(tmp_path, number)
            make_examples(examples, documents)
            content = {"destination": f"serving/name/{number}", "version": number}
            (pushed / "pushed.json").write_text(json.dumps(content))
            record(store, "example_gen", {}, {"Examples": examples})
            record(store, "trainer", {"Examples": examples}, {"Model": model})
            record(store, "exporter", {"Model": model}, {"ExportedModel": exported})
            record(store, "pusher", {"ExportedModel": exported}, {"PushedModel": pushed})
    return tmp_path


def test_training_text_is_that_of_the_version(root):
    first = {"one": "train ab\né", "two": "train c"}
    assert training_text(root / "serving" / "name" / "1") == first
    assert training_text(root / "serving" / "name") == {"other": "train x"}  # the newest


def test_training_text_is_found_in_a_root_that_was_moved(root, tmp_path_factory):
    moved = root.rename(tmp_path_factory.mktemp("elsewhere") / "root")

    assert training_text(moved / "serving" / "name") == {"other": "train x"}


def test_training_text_of_a_version_that_nobody_pushed_is_not_known(root):
    make_version(root, 3)

    assert training_text(root / "serving" / "name" / "3") is None


def test_training_text_is_not_known_without_a_lineage_store(tmp_path):
    assert training_text(make_version(tmp_path, 1)) is None


def test_training_text_without_a_model_raises(tmp_path):
    with pytest.raises(UsageError, match="--model"):
        training_text(tmp_path)


@pytest.mark.parametrize(
    ("tokenizer", "corpus", "text", "copied"),
    [
        (
            CharTokenizer(("end",), TextOptions("NFKC", lowercase=True), "ab"),
            "TO BE\nﬁne",
            "to be\nfine",
            "to be\nfine",
        ),
        (
            WordTokenizer(("unk", "end"), IDENTITY, ("to", "be", "\n", "or")),
            "to  be \n\tor not",
            "to be\nor",
            "to be\nor",
        ),
    ],
)
def test_copies_are_found_in_the_corpus_as_the_model_writes_it(tmp_path, tokenizer, corpus, text, copied):
    assets = make_version(tmp_path, 1) / "assets"
    assets.mkdir()
    tokenizer.save(assets)

    (found,) = copies_of(assets.parent, {"one": corpus}, [text])

    assert (found.span, found.source) == (copied, "one")
