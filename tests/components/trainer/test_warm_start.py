"""A training that begins with the last blessed model's weights."""

import json

import numpy as np
import pytest

from components.tasks import files
from components.trainer.warm_start import warm_start
from components.transform.tokenizers import IDENTITY, CharTokenizer
from pipeline.files import digest_folder
from tests.testing import random_model

ABC = CharTokenizer(("pad", "end"), IDENTITY, "abc")


@pytest.fixture
def root(tmp_path):
    """With a blessed model of 5 units, trainer 2."""
    graph, model, judged = tmp_path / "transform" / "1", tmp_path / "trainer" / "2", tmp_path / "evaluator" / "3"
    (graph / "transform_graph").mkdir(parents=True)
    ABC.save(graph / "transform_graph")
    (model / "model").mkdir(parents=True)
    files.save(random_model(len(ABC), 5, 2, seed=1), model / "model")
    (judged / "blessing").mkdir(parents=True)
    (judged / "blessing" / "BLESSED").touch()
    digests = {"transform_graph": digest_folder(graph / "transform_graph"), "model": digest_folder(model / "model")}
    for folder, outputs in ((graph, ["transform_graph"]), (model, ["model"]), (judged, [])):
        record = {"inputs": {} if outputs else digests, "outputs": {key: digests[key] for key in outputs}}
        (folder / "execution.json").write_text(json.dumps(record))
    return tmp_path


@pytest.fixture
def graph(root):
    return root / "transform" / "1" / "transform_graph"


def test_warm_start_takes_the_weights_of_the_last_blessed_model(root, graph):
    model = random_model(len(ABC), 5, 2, seed=2, input_dropout=0.3)  # training's own options do not count
    expected = random_model(len(ABC), 5, 2, seed=1).get_weights()
    assert not np.array_equal(model.get_weights()[0], expected[0])  # guard

    assert warm_start(model, graph, root) == "trainer 2"
    for found, weight in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, weight)


def test_warm_start_without_a_blessed_model_leaves_the_weights(root, graph):
    (root / "evaluator" / "3" / "blessing" / "BLESSED").unlink()
    model = random_model(len(ABC), 5, 2, seed=2)
    before = model.get_weights()
    assert warm_start(model, graph, root) is None
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_warm_start_of_another_architecture_is_refused_naming_what_differs(root, graph):
    with pytest.raises(ValueError, match=r"Received: trainer 2, .*: units is 5 there and 6 here\. Set trainer.warm_st"):
        warm_start(random_model(len(ABC), 6, 2), graph, root)


def test_warm_start_for_another_vocabulary_is_refused(root, tmp_path):
    (tmp_path / "other").mkdir()
    CharTokenizer(("pad", "end"), IDENTITY, "abd").save(tmp_path / "other")
    with pytest.raises(ValueError, match=r"vocabulary.tsv is another"):
        warm_start(random_model(len(ABC), 5, 2), tmp_path / "other", root)
