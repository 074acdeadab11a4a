"""TensorFlow Serving's REST interface, as its documentation has it; answers are those of the SavedModel."""

import base64
import json
import threading
from unittest import mock

import numpy as np
import pytest

from components.heavy_imports import import_quietly
from components.server.errors import RequestError
from components.server.limits import Limits
from components.server.rest import Answer
from tests.components.exporter import exported
from tests.components.server.running import beside

MODEL = "/v1/models/rnn"


def test_status_lists_the_versions_newest_first(server):
    status, answer = server.ask("GET", MODEL)

    assert status == 200
    good = {"error_code": "OK", "error_message": ""}
    assert answer == {
        "model_version_status": [
            {"version": "5", "state": "AVAILABLE", "status": good},
            {"version": "3", "state": "AVAILABLE", "status": good},
        ]
    }
    assert server.ask("GET", f"{MODEL}/versions/3")[1]["model_version_status"] == answer["model_version_status"][1:]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("GET", "/v1/models/rnn/versions/4", 404),
        ("GET", "/v1/models/rnn/versions/x", 400),
        ("GET", "/v1/models/rnn/versions/-1", 400),
        ("GET", "/v1/models/rnn/versions/99999999999999999999", 400),
        ("GET", "/v1/models/other/metadata", 404),
        ("GET", "/v1/models/rnn/versions/4/metadata", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("POST", "/v1/models/rnn/versions/4:predict", 404),
        ("POST", "/v1/models/rnn:regress", 400),
        ("PUT", "/v1/models/rnn:predict", 400),
        ("GET", "/v1/models/rnn/nothing", 400),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/models/rnn/labels/stable", 400),
    ],
)
def test_what_is_not_there_is_an_error_with_the_documented_status(server, method, path, status):
    found, answer = server.ask(method, path, {"instances": ["he"]} if method == "POST" else None)

    assert (found, set(answer)) == (status, {"error"})


def test_metadata_describes_inputs_and_outputs_of_the_signatures(server):
    status, answer = server.ask("GET", f"{MODEL}/versions/3/metadata")

    assert status == 200
    assert answer["model_spec"] == {"name": "rnn", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "generate", "score", "initial_state", "step"} <= set(signatures)
    assert signatures["generate"]["method_name"] == "tensorflow/serving/predict"
    prompt = signatures["generate"]["inputs"]["prompt"]
    assert prompt["dtype"] == "DT_STRING"
    assert prompt["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert not any(name.startswith("__") for name in signatures)


def test_instances_of_one_input_are_answered_row_by_row(server, direct):
    expected = direct.generate(["he", "", "lol"])
    assert len(set(expected["text"])) == 3

    rows = server.post(":predict", {"instances": ["he", "", {"b64": base64.b64encode(b"lol").decode()}]})["predictions"]

    assert [row["text"] for row in rows] == expected["text"]
    assert [row["finished"] for row in rows] == expected["finished"].tolist()
    np.testing.assert_allclose([row["log_prob"] for row in rows], expected["log_prob"], rtol=1e-5)
    assert set(rows[0]) == {"text", "log_prob", "finished"}


def test_instances_with_names_have_each_their_own_controls(server, direct):
    controls = {"max_length": [5, 9], "temperature": [0.5, 2.0], "top_k": [0, 2], "top_p": [0.9, 1.0], "seed": [7, 8]}
    expected = direct.generate(["he", "lo"], **controls)
    rows = [
        {"prompt": prompt, **{key: values[row] for key, values in controls.items()}}
        for row, prompt in enumerate(["he", "lo"])
    ]

    answer = server.post("/versions/3:predict", {"signature_name": "generate", "instances": rows})["predictions"]

    assert [row["text"] for row in answer] == expected["text"]
    assert expected["text"] != direct.generate(["he", "lo"])["text"]  # the controls matter


def test_inputs_in_columns_are_answered_in_columns(server, direct):
    expected = direct.generate(["he", "lo"], max_length=[9], seed=[3])

    answer = server.post(":predict", {"inputs": {"prompt": ["he", "lo"], "max_length": [9], "seed": [3]}})["outputs"]

    assert answer["text"] == expected["text"]
    np.testing.assert_allclose(answer["log_prob"], expected["log_prob"], rtol=1e-5)
    assert server.post(":predict", {"inputs": ["he"]})["outputs"]["text"] == direct.generate(["he"])["text"]


def test_sample_writes_several_texts_for_a_prompt(server, direct):
    inputs = {"prompt": ["he", "lo"], "max_length": [9], "seed": [3], "samples": [3], "min_length": [4]}
    others = {"temperature": [1.0], "top_k": [0], "top_p": [1.0], "repetition_stop": [0]}
    expected = direct("sample", **inputs, **others)

    answer = server.post(":predict", {"signature_name": "sample", "inputs": inputs})["outputs"]

    assert answer["text"] == [text.decode() for text in expected["text"]]
    assert answer["tokens"] == expected["tokens"].tolist()
    np.testing.assert_allclose(answer["log_prob"], expected["log_prob"], rtol=1e-5)


def test_other_signatures_answer_as_the_saved_model_does(server, direct):
    expected = direct("score", text=["hello", ""])
    answer = server.post(":predict", {"signature_name": "score", "instances": ["hello", ""]})["predictions"]
    np.testing.assert_allclose([row["log_prob"] for row in answer], expected["log_prob"], rtol=1e-5)
    assert [row["tokens"] for row in answer] == [6, 1]

    state = server.post(":predict", {"signature_name": "initial_state", "inputs": {"batch_size": 2}})["outputs"]
    state["state_0"][1][2] = 0.5
    step = {"signature_name": "step", "inputs": {"token": ["<end>", "h"], **state}}
    found = server.post(":predict", step)["outputs"]
    for name, value in direct("step", token=["<end>", "h"], **state).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def test_every_signature_of_rows_can_be_asked_in_row_format(server):
    version = server.core.versions.loaded[0]
    of_rows = sorted(set(version.signatures) - {"initial_state"})  # which takes one number
    assert len(of_rows) > 8
    for name in of_rows:
        needed = {
            key: spec for key, spec in version.signature(name).inputs.items() if key not in version.defaults(name)
        }
        columns = {
            key: np.full([size or 2 for size in spec.shape], "h" if spec.dtype.name == "string" else 1).tolist()
            for key, spec in needed.items()
        }
        rows = [{key: value[row] for key, value in columns.items()} for row in range(2)]
        expected = server.post(":predict", {"signature_name": name, "inputs": columns})["outputs"]

        answer = server.post(":predict", {"signature_name": name, "instances": rows})["predictions"]

        if not isinstance(expected, dict):
            assert answer == expected
            continue
        assert answer == [{key: value[row] for key, value in expected.items()} for row in range(2)], name


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "either instances or inputs"),
        ({"instances": ["a"], "inputs": ["a"]}, "either instances or inputs"),
        ({"instances": []}, "at least one"),
        ({"instances": "he"}, "must be a list"),
        ({"instances": [1]}, "must be a string"),
        ({"inputs": {}}, "needs the input 'prompt'"),
        ({"instances": [{"text": "he"}]}, "has no input 'text'"),
        ({"instances": [{"prompt": "he"}, {"prompt": "lo", "seed": 1}]}, "the same inputs"),
        ({"instances": ["he"], "signature_name": "nothing"}, 'name: "nothing" not found'),
        ({"instances": ["he"], "signature_name": 3}, "must be a string"),
        ({"instances": ["he"], "signature_name": None}, "must be a string"),
        ({"instances": [{"b64": "!!"}]}, "base64"),
        ({"instances": [{"b64": "gA=="}]}, "must be UTF-8"),
        ({"instances": ["\ud800"]}, "lone surrogates"),
        ({"inputs": {"prompt": ["he"], "max_length": [-1]}}, "max_length must be an integer >= 0"),
        ({"inputs": {"prompt": ["he"], "max_length": [2**31]}}, "fit int32"),
        ({"inputs": {"prompt": ["he"], "max_length": [2**31 - 1]}}, "max_length must be at most"),
        ({"inputs": {"prompt": ["he"], "max_length": [1.0]}}, "must be of int32"),
        ({"inputs": {"prompt": ["he"], "max_length": [True]}}, "must be of int32"),
        ({"inputs": {"prompt": ["he"], "max_length": 5}}, "shape"),
        ({"inputs": {"prompt": ["he"], "max_length": [5, 6]}}, "one value, or one for each"),
        ({"inputs": {"prompt": ["he"], "temperature": [float("nan")]}}, "temperature must be a number"),
        ({"inputs": {"prompt": ["he"], "temperature": [1e300]}}, "fit float32"),
        ({"inputs": {"prompt": ["he"], "temperature": ["warm"]}}, "must be of float32"),
        ({"inputs": {"prompt": ["he"], "top_p": [0]}}, "top_p must be a number > 0"),
        ({"inputs": {"prompt": ["he"], "top_p": [2]}}, "top_p must be a number > 0"),
        ({"inputs": {"prompt": [["he"]]}}, "shape"),
        ({"inputs": {"prompt": ["he", ["lo"]]}}, "as deep and as long"),
        ({"inputs": {"prompt": None}}, "shape"),
        ({"inputs": {"prompt": ["he"] * 257}}, "at most 256 rows"),
        ({"inputs": {"prompt": ["he"], "samples": [257]}, "signature_name": "sample"}, "at most 256 rows"),
        ({"inputs": {"prompt": ["he"], "samples": [0]}, "signature_name": "sample"}, "samples must be 1 or more"),
        ({"inputs": {"batch_size": 2**31 - 1}, "signature_name": "initial_state"}, "at most 256 rows"),
        ({"inputs": {"text": ["h" * 10_001]}, "signature_name": "inspect"}, "at 10000 places at most"),
        ({"inputs": {"text": ["h" * 5001, ""]}, "signature_name": "tokenize"}, "at 10000 places at most"),
        ({"inputs": {"text": ["h" * 50_001, ""]}, "signature_name": "score"}, "at 100000 places at most"),
        ({"inputs": {"prompt": ["h" * 100_001]}}, "at most 100000 long"),
        ({"inputs": {"text": ["h" * 100_001]}, "signature_name": "score"}, "at most 100000 long"),
        ({"instances": [{"b64": "gA=="}], "signature_name": "score"}, "text must be UTF-8"),
        ({"instances": [{"b64": "gA=="}], "signature_name": "tokenize"}, "text must be UTF-8"),
        ({"instances": [{"b64": "gA=="}], "signature_name": "inspect"}, "text must be UTF-8"),
        (
            {
                "inputs": {"token": [9], "ids": [[1]], "count": [1], "state_0": [[0] * 7], "state_1": [[0] * 7]},
                "signature_name": "read",
            },
            "ids of tokens, 0 … 4",
        ),
    ],
)
def test_bad_predict_is_refused_with_a_message(server, body, said):
    assert said in server.refused(":predict", body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{nope", "JSON Parse error"),
        (b"", "JSON Parse error"),
        (b'{"instances": ["\xff"]}', "not UTF-8 at byte 16"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"instances": [' + b"[" * 100_000, "nested too deeply"),
        (b'{"instances": ' + b"[" * 900 + b"1" + b"]" * 900 + b"}", "900 dimensions"),
        (b'{"instances": [' + b"9" * 10_000 + b"]}", "too many digits"),
        (b"[1]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
    ],
)
@pytest.mark.parametrize("action", ["predict", "generate", "inspect"])
def test_malformed_body_is_refused(server, body, said, action):
    status, answer = server.raw("POST", f"{MODEL}:{action}", body)

    assert status == 400
    if action == "predict":
        assert said in json.loads(answer)["error"]


def test_body_is_read_whatever_its_content_type(server, direct):
    body = json.dumps({"instances": ["he"]}).encode()

    status, answer = server.raw("POST", f"{MODEL}:predict", body, {"Content-Type": "application/x-www-form-urlencoded"})

    assert (status, json.loads(answer)["predictions"][0]["text"]) == (200, direct.generate(["he"])["text"][0])


def test_labels_are_refused_by_name(server):
    for path in ("/labels/stable", "/labels/stable:predict", "/labels/stable/metadata"):
        method = "POST" if path.endswith("predict") else "GET"
        assert "Labels of versions are not supported" in server.ask(method, MODEL + path, {})[1]["error"]


@pytest.mark.parametrize("format", ["inputs", "instances"])
def test_answer_of_too_many_values_for_json_is_refused_with_what_to_do(server, format):
    body = {"signature_name": "tokenize", format: ["hello", "he"]}
    values = 2 * 5 + 2 * 5 + 2  # tokens, ids, lengths
    with beside(server, Limits(json_values=values)) as limited:
        assert limited.post(":predict", body)
    with beside(server, Limits(json_values=values - 1)) as limited:
        said = limited.refused(":predict", body)
    assert said.startswith(f"An answer in JSON must have at most {values - 1} values. Received: {values}.")
    assert "gRPC" in said


def test_long_answers_let_other_threads_in_while_they_are_written():
    # The interpreter is handed over every few milliseconds, but not inside json's encoder in C.
    turns, done = [], threading.Event()
    other = threading.Thread(target=lambda: [turns.append(1) for _ in iter(lambda: done.wait(0.001), True)])
    content = np.random.default_rng(1).random(300_000).tolist()
    answer = Answer([])
    other.start()
    try:
        before = len(turns)
        written = answer.render(content)
        during = len(turns) - before
    finally:
        done.set()
        other.join()

    assert json.loads(written) == content
    assert during > 5


def test_places_are_counted_in_tokens_and_texts_in_characters(server, monkeypatch):
    score = {"signature_name": "tokenize", "inputs": {"text": ["ééé"]}}
    with beside(server, Limits(places=5, prompt_length=3)) as limited:
        for path, body in ((":inspect", {"text": "ééé"}), (":dynamics", {"text": "ééé"}), (":predict", score)):
            assert limited.post(path, body)
        assert limited.post(":predict", {"inputs": {"prompt": ["ééé"]}})
        for version in server.core.versions.loaded:
            monkeypatch.setattr(version.language, "tokenizer", exported.OF_EACH_KIND["byte"])
        for path, body in ((":inspect", {"text": "ééé"}), (":dynamics", {"text": "ééé"}), (":predict", score)):
            assert "5 places at most" in limited.refused(path, body)


def test_what_the_graph_refuses_is_told_without_where_in_the_graph(server, monkeypatch):
    tf = import_quietly("tensorflow")

    def refuse(**_):
        raise tf.errors.InvalidArgumentError(
            None, None, "Too few rows.\n\t [[{{node a/b}}]] <stack traces unavailable>\n"
        )

    monkeypatch.setattr(server.core.versions.loaded[0], "signature", lambda _: mock.Mock(inputs={}, side_effect=refuse))
    with pytest.raises(RequestError, match=r"^Too few rows\.$"):
        server.core.versions.loaded[0].call("score", {})
    monkeypatch.undo()
    body = {"signature_name": "initial_state", "inputs": {"batch_size": -1}}
    assert "stack traces" not in server.refused(":predict", body)
