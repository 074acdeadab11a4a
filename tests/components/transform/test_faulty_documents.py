"""Documents whose features are not what they have to be: the first one is named, and nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.transform.graph import load_classes, load_scaling
from tests.components.transform.featured import EVAL, FEATURES, SMALL, TRAIN, transform
from tests.components.transform.reference import everything

ONE = EVAL[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label": "left"},
            r"every class of eval must occur in train\. Received: label='left' in the document "
            r"'eval-1' of eval; known: 'down', 'up', 'é'\. Correct",
        ),
        (
            {"tags": ["N", "V"]},
            r"every class of eval must occur in train\. Received: tags='V' in the document 'eval-1'",
        ),
        ({"label": 3}, r"the feature label must be a text of one line.*Received: label=3 in the document 'eval-1'"),
        ({"label": None}, r"label must be a text of one line in every document\. Received: label=None in .* 'eval-1'"),
        ({"label": "a\nb"}, r"label must be a text of one line.*'eval-1'"),
        ({"tags": ["N", 2]}, r"tags must be a list of texts.*Received: tags=\['N', 2\] in the document 'eval-1'"),
        ({"tags": "NN"}, r"tags must be a list of texts.*'eval-1'"),
        ({"tags": ["N"]}, r"one of tags for each word of its text .*Received: 1 tags for 2 words in .* 'eval-1'"),
        ({"text": "xa  b"}, r"Received: 2 tags for 3 words in the document 'eval-1'"),
        ({"target": 5}, r"target must be a text in every document\. Received: target=5 in the document 'eval-1'"),
        ({"value": "7"}, r"value must be a number.*Received: value='7' in the document 'eval-1'"),
        ({"value": True}, r"value must be a number.*value=True"),
        ({"value": float("nan")}, r"value must be a number that float32 holds.*value=nan in the document 'eval-1'"),
        ({"value": 10**50}, r"value must be a number that float32 holds.*'eval-1'"),
        ({"array": [[1, 2], [3, float("inf")]]}, r"an array must hold finite numbers\. Received: inf in .* 'eval-1'"),
    ],
    ids=str,
)
def test_bad_document_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, message: str) -> None:
    monkeypatch.setattr("components.transform.feature_passes.SHARD_BYTES", SMALL)
    # Another one comes later, and is not the one that is named.
    splits = {"train": TRAIN, "eval": [ONE, ONE | change, ONE, ONE | change, ONE]}
    with pytest.raises(ValueError, match=message):
        transform(tmp_path, splits=splits)
    assert everything(tmp_path / "transform_graph") == everything(tmp_path / "transformed_examples") == {}


def test_bad_target_is_named_when_byte_pairs_are_learnt(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"target must be a text.*Received: target=None in the document 'train-2'"):
        transform(
            tmp_path,
            splits={"train": [*TRAIN[:2], TRAIN[2] | {"target": None}], "eval": EVAL},
            target={"tokenizer": "bpe"},
        )


def test_tags_that_are_of_nothing_are_refused(tmp_path: Path) -> None:
    documents = [{"tags": ["a"]}]
    with pytest.raises(ValueError, match=r"documents with tags must have text or an array\. Received: features tags"):
        transform(tmp_path, {"tags": FEATURES["tags"]}, {"train": documents, "eval": documents})


def test_target_without_unk_and_unseen_characters_is_refused(tmp_path: Path) -> None:
    splits = {"train": [{"text": "abx", "target": "ab"}], "eval": [{"text": "a", "target": "axa"}]}
    features = {name: FEATURES[name] for name in ("text", "target")}
    with pytest.raises(ValueError, match=r"Received: unknown tokens \{'eval': 1\} of the feature target\. Add unk"):
        transform(tmp_path, features, splits, specials=("end",))


def test_lanes_of_documents_without_text_are_refused(tmp_path: Path) -> None:
    features = {name: FEATURES[name] for name in ("label", "array")}
    with pytest.raises(
        ValueError, match=r"lanes must be made of text\. Received: documents with label, array\. Set tra"
    ):
        transform(tmp_path, features, records="lanes")


@pytest.mark.parametrize("load_it", [lambda graph: load_classes(graph, "label"), load_scaling])
def test_graph_without_the_feature_says_so(tmp_path: Path, load_it: Callable[[Path], Any]) -> None:
    with pytest.raises(ValueError, match=r"must have the feature (label|array)\. Received: a graph without .*examples"):
        load_it(tmp_path)
