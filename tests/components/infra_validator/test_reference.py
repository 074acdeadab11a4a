"""The Keras model's own answers, beside those of its SavedModel."""

import pytest

from components.heavy_imports import import_quietly
from components.infra_validator.answers import differences
from components.infra_validator.reference import cases
from tests.components.exporter import exported


@pytest.fixture(scope="module")
def resources():
    import_quietly("tensorflow")
    from components.infra_validator import resources

    return resources


def signatures_of(folder):
    tf = import_quietly("tensorflow")
    loaded = tf.saved_model.load(str(folder))
    return loaded, loaded.signatures


@pytest.mark.parametrize(
    "kind",
    ["bpe", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("byte", "word", "char, NFKC, lower case"))],
)
def test_reference_of_a_language_model_is_what_it_is_served_as(kind, resources, tmp_path_factory):
    model = exported.of_kind(tmp_path_factory.getbasetemp(), kind)
    found = cases(model.folder, model.folder)
    _alive, signatures = signatures_of(model.saved_model)
    assert len(found[0]["outputs"]["log_probs"][0]) > 30  # guard
    assert resources.wrong_beside(signatures, found) == []


@pytest.mark.parametrize(
    ("found", "expected", "reason"),
    [
        ({"p": [0.5]}, {"p": [0.50001]}, None),
        ({"p": [0.5]}, {"p": [0.51]}, "the numbers of us within 0.0001; the largest difference is 0.01"),
        ({"p": [100.001]}, {"p": [100.0]}, None),
        ({"p": [0.5, 1]}, {"p": [0.5]}, "of shape [1], as us has it; it is of [2]"),
        ({}, {"p": [0.5]}, "of shape [1], as us has it; it is of []"),
        ({"t": ["a"]}, {"t": ["a"]}, None),
        ({"t": ["a"]}, {"t": ["b"]}, "['b'], as us has it; it is ['a']"),
        ({"p": [float("nan")]}, {"p": [0.5]}, "the largest difference is nan"),
    ],
)
def test_differences_name_what_is_not_the_same(found, expected, reason):
    reasons = differences(found, expected, "score", "us")
    assert len(reasons) == (reason is not None)
    assert all(reason in sentence for sentence in reasons)
