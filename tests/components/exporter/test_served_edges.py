"""Requests at the edges of what a served model of examples takes: nothing to be answered, and what does not fit."""

import dataclasses

import numpy as np
import pytest

from components.exporter.served_examples import ServedExamples
from components.heavy_imports import import_quietly
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import Spec
from components.transform.manifest import FeatureInfo
from pipeline.config import ModelConfig
from tests.components.tasks import example_data
from tests.testing import randomise

tf = import_quietly("tensorflow")


def films(random):
    """Images of 6 × 5 in two channels, and whether each one is bright."""
    array = random.integers(0, 255, (int(random.integers(2, 5)), 6, 5, 2)).astype("uint8")
    return {"array": array, "tags": (array.mean(axis=(1, 2, 3)) > 127).astype(int).tolist()}


FILMS = {
    "array": FeatureInfo("array", "uint8", shape=(None, 6, 5, 2)),
    "tags": FeatureInfo("classes", "uint8", size=3),
}
# Kind → a request of two rows, without `beam_width`.
REQUESTS = {
    "classification": {"text": ["up", "very down"]},
    "tagging": {"text": ["up", "very down"]},
    "films": {"array": np.ones((2, 3, 6, 5, 2), "uint8"), "lengths": [3, 2]},
    "regression_sequence": {"array": np.ones((2, 3, 2), "float32"), "lengths": [3, 2]},
    "forecast": {"array": np.ones((2, 3, 2), "float32"), "lengths": [3, 2]},
    "seq2seq": {"text": ["up", "very down"]},
    "captioning": {"array": np.ones((2, 6, 5, 2), "uint8")},
    "captioning of classes": {"label": ["dive", "turn"]},
}
SERIES = ("films", "regression_sequence", "forecast")


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Answers requests to a model of each kind, which is made when it is first asked."""
    functions = {}

    def answer(kind, **request):
        if kind not in functions:
            functions[kind] = served(kind, tmp_path_factory.mktemp(kind))
        return {name: value.numpy() for name, value in functions[kind](**tensors(request)).items()}

    return answer


def served(kind, folder):
    data = example_data.write_kind(folder, films, FILMS) if kind == "films" else example_data.write(folder, kind)
    task = EXAMPLE_TASKS["tagging" if kind == "films" else example_data.task_of(kind)]
    spec = Spec.read(data[0])
    spec = dataclasses.replace(spec, longest=dict.fromkeys(spec.features, 6))
    model = task.build_for(ModelConfig(task=task.task, units=5, layers=1), spec, seed=1)
    randomise(model, seed=3)
    made = ServedExamples(model, data[0], spec)
    function = made.signatures()[model.signature]
    return lambda made=made, **request: function(**request)  # which keeps its variables alive


def tensors(request):
    types = {"text": tf.string, "label": tf.string, "lengths": tf.int32, "beam_width": tf.int32}
    return {name: tf.constant(value, types.get(name)) for name, value in request.items()}


def request_of(kind, rows=2):
    cut = {name: value[:rows] for name, value in REQUESTS[kind].items()}
    return {**cut, "beam_width": [1]} if kind in example_data.WRITERS else cut


def shapes(answers):
    return {name: value.shape for name, value in answers.items()}


@pytest.mark.parametrize("kind", REQUESTS)
def test_no_rows_are_answered_by_none(serve, kind):
    two, none = serve(kind, **request_of(kind)), serve(kind, **request_of(kind, rows=0))

    assert all(shape[0] == 2 for shape in shapes(two).values())  # guard
    assert all(shape[0] == 0 for shape in shapes(none).values())
    assert {name: value.dtype for name, value in none.items()} == {name: value.dtype for name, value in two.items()}


@pytest.mark.parametrize("width", [[], [1], [3]])
def test_no_rows_of_a_writer_are_answered_with_any_beam(serve, width):
    assert serve("captioning", array=np.zeros((0, 6, 5, 2), "uint8"), beam_width=width)["text"].shape == (0,)


@pytest.mark.parametrize("kind", SERIES)
def test_rows_without_timesteps_are_answered_like_rows_of_padding(serve, kind):
    array = REQUESTS[kind]["array"]

    found = serve(kind, array=array[:, :0], lengths=[0, 0])
    beside = serve(kind, array=array, lengths=[0, 3])  # the first row is padding alone

    for name in found:
        assert len(found[name]) == 2
        if found[name].dtype.kind == "f":
            assert np.isfinite(found[name]).all()
    if kind == "regression_sequence":
        np.testing.assert_allclose(found["value"], beside["value"][[0, 0]], atol=1e-5)
        assert abs(beside["value"][0] - beside["value"][1]) > 1e-3  # guard
    if kind == "films":
        assert not any(found["tags"].ravel())


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("lengths", [[4, 1], [3, -1], [3], [3, 1, 1], []])
def test_lengths_that_do_not_fit_the_array_are_refused_by_name(serve, kind, lengths):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"lengths must be one for each row of array, from 0 to"):
        serve(kind, array=REQUESTS[kind]["array"], lengths=lengths)


@pytest.mark.parametrize("width", [[1, 2, 3], []])
def test_beam_widths_that_are_not_as_many_as_rows_are_refused_by_name(serve, width):
    with pytest.raises(tf.errors.InvalidArgumentError, match="translate: beam_width must be one number, or one for"):
        serve("seq2seq", text=["up", "down"], beam_width=width)


def test_beam_width_outside_one_to_eight_counts_as_the_nearest(serve):
    def log_prob(*widths):
        return serve("seq2seq", text=["up very left", "down"], beam_width=list(widths))["log_prob"].tolist()

    assert log_prob(100, 9) == log_prob(8, 8)
    assert log_prob(0, -3) == log_prob(1, 1)
    assert log_prob(8, 8) != log_prob(1, 1)  # guard
