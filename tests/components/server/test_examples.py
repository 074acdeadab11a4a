"""Models of other tasks behind the same interface: what they have is served, texts are not written."""

import dataclasses

import numpy as np
import pytest

from components.tasks import files
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.example_task import Spec
from pipeline.config import ModelConfig
from tests.components.exporter.exported import export
from tests.components.server.conftest import Direct
from tests.components.server.running import running
from tests.components.tasks import example_data
from tests.testing import randomise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["classification", "tagging", "captioning of classes"])
def served(request, tmp_path_factory):
    """(kind, a server, the SavedModel called directly)."""
    folder = tmp_path_factory.mktemp("examples")
    graph, _ = example_data.write(folder, request.param)
    task = EXAMPLE_TASKS[example_data.task_of(request.param)]
    spec = dataclasses.replace(Spec.read(graph), longest=dict.fromkeys(Spec.read(graph).features, 6))
    model = task.build_for(ModelConfig(task=task.task, units=5, layers=1), spec, seed=1)
    randomise(model, seed=3)
    files.save(model, folder)
    saved_model = folder / "serving" / "4"
    export(folder, graph, saved_model)
    with running(folder / "serving") as server:
        yield request.param, server, Direct(saved_model)


def test_signature_answers_as_the_saved_model_does(served):
    kind, server, direct = served
    if kind != "captioning of classes":
        name, chosen = {"classification": ("classify", "label"), "tagging": ("tag", "tags")}[kind]
        rows = ["up very down", "left up", "down"]
        expected = direct(name, text=rows)
        answer = server.post(":predict", {"signature_name": name, "inputs": {"text": rows}})["outputs"]
        for output in (chosen, "classes"):
            assert answer[output] == np.vectorize(bytes.decode)(expected[output]).tolist()
        np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], rtol=1e-5)
        in_rows = server.post(":predict", {"signature_name": name, "instances": rows})["predictions"]
        assert in_rows == [{key: answer[key][row] for key in answer} for row in range(3)]
    else:
        rows = ["dive", "climb"]
        expected = direct("caption", label=rows, beam_width=[1])
        answer = server.post(":predict", {"instances": rows})["predictions"]
        assert [row["text"] for row in answer] == [text.decode() for text in expected["text"]]
        np.testing.assert_allclose([row["log_prob"] for row in answer], expected["log_prob"], rtol=1e-5)


def test_what_the_graph_refuses_is_the_requests_fault(served):
    kind, server, _ = served
    if kind != "captioning of classes":
        return
    said = server.refused(":predict", {"instances": ["dive", "jump"]})
    assert "label must be one of the classes" in said
    assert "Graph execution error" not in said
    server.refused(":predict", {"inputs": {"label": ["dive"], "beam_width": [1, 2, 3]}})


def test_texts_are_not_written_by_a_model_that_is_no_language_model(served):
    _, server, _ = served

    for path, body in (
        (":generate", {}),
        (":generate", {"stream": True}),
        (":inspect", {"text": "a"}),
        ("/sessions", {}),
    ):
        assert "must be a language model" in server.refused(path, body)
