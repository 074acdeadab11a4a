"""What a task cannot do is refused before anything is trained, by name."""

import dataclasses

import keras
import numpy as np
import pytest

from components.tasks.captioning import Captioner
from components.tasks.catalogue import model_class
from components.tasks.classification import Classifier
from components.tasks.encoder import Encoder
from components.tasks.example_task import Spec
from components.tasks.inputs import Inputs
from components.tasks.regression import SequenceRegressor
from components.tasks.tagging import Tagger
from components.transform.manifest import FeatureInfo
from components.transform.tokenizers import IDENTITY, CharTokenizer
from pipeline.config import ModelConfig
from tests.components.tasks.example_data import FRENCH
from tests.testing import to_numpy

SERIES = FeatureInfo("array", "float32", shape=(None, 2))
FRAMES = FeatureInfo("array", "uint8", shape=(None, 4, 4, 1))
FRENCH_TOKENS = FeatureInfo("tokens", "uint8", size=len(FRENCH))
TEXT = Spec({"tokens": FeatureInfo("tokens", "uint8", size=4), "tags": FeatureInfo("classes", "uint8", size=2)})


def config(task, **arguments):
    return ModelConfig(task=task, units=3, layers=1, **arguments)


@pytest.mark.parametrize(
    ("feature", "arguments", "text"),
    [
        (FRAMES, {}, r"arrays must be \[timesteps, features\]\. Received: arrays of shape \[None, 4, 4, 1\]"),
        (SERIES, {"bidirectional": True}, "must read the rows before it only.*model.bidirectional=True"),
        (SERIES, {"pooling": "max"}, "no pooling.*model.pooling='max'"),
        (SERIES, {"encoder": "mean"}, "must read the rows before it only.*model.encoder='mean'"),
    ],
)
def test_forecast_that_cannot_be_is_refused(feature, arguments, text):
    spec = Spec({"array": feature}, mean=[0.0], std=[1.0], longest={"array": 5})

    with pytest.raises(ValueError, match=text):
        SequenceRegressor.build_for(config("regression_sequence", **arguments), spec)
    SequenceRegressor.build_for(config("regression_sequence"), dataclasses.replace(spec, features={"array": SERIES}))


@pytest.mark.parametrize(
    ("task", "features", "arguments", "text"),
    [
        (Classifier, {"array": SERIES}, {"image": "linear"}, "images.*model.image='linear'.*'classification'.*array"),
        (Classifier, {"array": SERIES}, {"embedding": 9}, "a series is read as it is.*model.embedding=9"),
        (Tagger, {"tokens": TEXT.features["tokens"]}, {"image": "linear"}, "model.image='linear'.*'tagging'.*tokens"),
        (
            Captioner,
            {"label": FeatureInfo("class", "uint8", size=2)},
            {"image": "linear"},
            "model.image='linear'.*'captioning'.*label",
        ),
    ],
)
def test_key_of_images_is_refused_where_there_are_none(task, features, arguments, text):
    target = {"label": FeatureInfo("class", "uint8", size=2), "tags": TEXT.features["tags"], "target": FRENCH_TOKENS}
    tokenizers = {"tokens": FRENCH, "target": FRENCH}
    classes = {"label": ["x", "y"], "tags": ["x", "y"]}
    spec = Spec({**target, **features}, tokenizers, classes, longest={"target": 2})

    with pytest.raises(ValueError, match=text):
        task.build_for(config(task.task, **arguments), spec)
    task.build_for(config(task.task), spec)


def test_forecast_does_not_see_what_it_forecasts():
    spec = Spec({"array": SERIES}, mean=[0.5, 1.0], std=[2.0, 1.0], longest={"array": 5})
    model = SequenceRegressor.build_for(config("regression_sequence"), spec)
    array = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    changed = array.copy()
    changed[:, 3:] += 1

    before, after = (to_numpy(model.predict_batch({"array": each}, {})["value"]) for each in (array, changed))

    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-3


def test_tags_of_characters_are_refused():
    spec = dataclasses.replace(
        TEXT, tokenizers={"tokens": CharTokenizer(("end",), IDENTITY, "abc")}, classes={"tags": ["x", "y"]}
    )

    with pytest.raises(ValueError, match=r"tags are for words.*transform.tokenizer='char'"):
        Tagger.build_for(config("tagging"), spec)


@pytest.mark.parametrize("feature", [SERIES, FRAMES, FeatureInfo("array", "float32", shape=(50, 2))])
def test_captions_of_what_is_no_image_are_refused(feature):
    spec = Spec({"array": feature, "target": FeatureInfo("tokens", "uint8", size=8)}, {"target": FRENCH})

    with pytest.raises(ValueError, match="'captioning' must have images"):
        Captioner.build_for(config("captioning"), spec)


def test_task_that_is_not_known_is_refused_naming_those_that_are():
    with pytest.raises(ValueError, match=r"one of language_model, classification.*task='weather'"):
        model_class("weather")


def test_image_without_timesteps_is_read_row_by_row():
    encoder = Encoder("rnn", {"vocabulary_size": None, "embedding": None, "shape": [5, 2]}, units=3)
    images = np.random.default_rng(1).normal(size=(2, 4, 5, 2)).astype("float32")

    found, expected = (to_numpy(encoder(each).last) for each in (images, images.reshape(2, 4, 10)))

    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_numbers_are_standardised_before_they_are_rounded_to_bfloat16():
    reader = Inputs(None, None, [2], mean=[1000.0, 0.0], std=[1.0, 1.0], dtype="mixed_bfloat16")

    found = reader(np.array([[[1000.5, 0.25], [999.0, -1.0]]], "float32"))

    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    np.testing.assert_array_equal(to_numpy(keras.ops.cast(found, "float32")), [[[0.5, 0.25], [-1.0, -1.0]]])


def test_writer_starts_with_the_recurrent_initializer_of_the_configuration():
    target = {"label": FeatureInfo("class", "uint8", size=2), "target": FRENCH_TOKENS}
    spec = Spec(target, {"target": FRENCH}, {"label": ["x", "y"]}, longest={"target": 2})

    identity, orthogonal = (
        Captioner.build_for(config("captioning", recurrent_initializer=name), spec).writer.decoder.recurrent_layers[0]
        for name in ("identity", "orthogonal")
    )

    np.testing.assert_array_equal(to_numpy(identity.cell.recurrent_kernel), np.eye(3))
    assert np.abs(to_numpy(orthogonal.cell.recurrent_kernel) - np.eye(3)).max() > 0.1
