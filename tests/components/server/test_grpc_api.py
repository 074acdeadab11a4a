"""TensorFlow Serving's own client stubs, over a channel on loopback."""

import json
import logging

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from components.heavy_imports import import_quietly
from components.server.limits import Limits
from components.server.serve import JsonLines
from tests.components.server.running import SECONDS, beside
from tests.processes import wait_until

tf = import_quietly("tensorflow")
CODE = grpc.StatusCode


class Stubs:
    def __init__(self, server):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}")
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, request, **options):
        return self._prediction.Predict(request, timeout=SECONDS, **options)

    def metadata(self, name="rnn", field="signature_def", version=None):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=[field])
        return self._prediction.GetModelMetadata(about(request, name, version), timeout=SECONDS)

    def status(self, name="rnn", version=None):
        request = get_model_status_pb2.GetModelStatusRequest()
        return self._models.GetModelStatus(about(request, name, version), timeout=SECONDS)


def about(request, name, version):
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


@pytest.fixture(scope="module")
def stubs(server):
    found = Stubs(server)
    with found.channel:
        yield found


def predict_request(signature="", name="rnn", version=None, only=(), **inputs):
    request = about(predict_pb2.PredictRequest(), name, version)
    request.model_spec.signature_name = signature
    request.output_filter.extend(only)
    for key, (value, dtype) in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value, dtype))
    return request


def prompts(*texts):
    return (list(texts), tf.string)


def arrays(response):
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def refused(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **options)
    return error.value.code(), error.value.details()


def test_predict_answers_as_the_saved_model_does(stubs, direct):
    expected = direct(
        "generate", prompt=["he", ""], max_length=[9], temperature=[0.7], top_k=[3], top_p=[0.9], seed=[5]
    )
    controls = {
        "max_length": ([9], tf.int32),
        "temperature": ([0.7], tf.float32),
        "top_k": ([3], tf.int32),
        "top_p": ([0.9], tf.float32),
        "seed": ([5], tf.int64),
    }

    response = stubs.predict(predict_request("generate", prompt=prompts("he", ""), **controls))

    found = arrays(response)
    assert set(found) == {"text", "log_prob", "finished"}
    assert found["text"].tolist() == expected["text"].tolist()
    assert found["finished"].tolist() == expected["finished"].tolist()
    np.testing.assert_allclose(found["log_prob"], expected["log_prob"], rtol=1e-5)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("rnn", 5, "generate")


def test_predict_fills_in_defaults_and_the_signature(stubs, direct):
    response = stubs.predict(predict_request(prompt=prompts("he"), version=3))

    assert arrays(response)["text"][0].decode() == direct.generate(["he"])["text"][0]
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (3, "serving_default")


def test_predict_of_another_signature_answers_what_was_asked_for(stubs, direct):
    state = direct("initial_state", batch_size=2)
    state["state_0"][1, 2] = 0.5
    inputs = {name: (value, tf.float32) for name, value in state.items()}
    expected = direct("step", token=["<end>", "h"], **state)

    response = stubs.predict(
        predict_request("step", only=["state_1", "log_probs"], token=prompts("<end>", "h"), **inputs)
    )

    found = arrays(response)
    assert set(found) == {"state_1", "log_probs"}
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("request_of", "code", "said"),
    [
        (lambda: predict_request(name="x", prompt=prompts("a")), CODE.NOT_FOUND, "Latest(x)"),
        (lambda: predict_request(version=4, prompt=prompts("a")), CODE.NOT_FOUND, "Specific(rnn, 4)"),
        (lambda: predict_request("x", prompt=prompts("a")), CODE.INVALID_ARGUMENT, "signature name"),
        (lambda: predict_request(), CODE.INVALID_ARGUMENT, "needs the input 'prompt'"),
        (lambda: predict_request(text=prompts("a")), CODE.INVALID_ARGUMENT, "no input 'text'"),
        (lambda: predict_request(prompt=([1], tf.int32)), CODE.INVALID_ARGUMENT, "must be string"),
        (lambda: predict_request(prompt=("a", tf.string)), CODE.INVALID_ARGUMENT, "shape"),
        (lambda: predict_request(prompt=([b"\xff"], tf.string)), CODE.INVALID_ARGUMENT, "UTF-8"),
        (lambda: predict_request(only=["x"], prompt=prompts("a")), CODE.INVALID_ARGUMENT, "alias not found"),
        (
            lambda: predict_request(prompt=prompts("a"), temperature=([np.nan], tf.float32)),
            CODE.INVALID_ARGUMENT,
            "temperature must",
        ),
        (lambda: predict_request(prompt=prompts("a"), top_p=([0.0], tf.float32)), CODE.INVALID_ARGUMENT, "top_p must"),
        (lambda: predict_request(prompt=prompts("a"), seed=([1], tf.int32)), CODE.INVALID_ARGUMENT, "must be int64"),
        (lambda: predict_request(prompt=([b"h" * 5_000_000], tf.string)), CODE.RESOURCE_EXHAUSTED, "larger than max"),
        (
            lambda: predict_request("initial_state", batch_size=(2**31 - 1, tf.int32)),
            CODE.INVALID_ARGUMENT,
            "at most 256 rows",
        ),
        (lambda: predict_request("initial_state", batch_size=(-1, tf.int32)), CODE.INVALID_ARGUMENT, ""),
        (lambda: predict_request("score", text=([b"\xff"], tf.string)), CODE.INVALID_ARGUMENT, "text must be UTF-8"),
    ],
)
def test_bad_predict_has_its_code(stubs, request_of, code, said):
    found, details = refused(stubs.predict, request_of())

    assert found == code
    assert said in details


def test_few_bytes_that_ask_for_much_memory_are_refused(stubs):
    request = predict_request(prompt=prompts("a"))
    request.inputs["prompt"].tensor_shape.dim[0].size = 2**40

    assert refused(stubs.predict, request)[0] == CODE.INVALID_ARGUMENT


@pytest.mark.parametrize("signature", ["next_log_probs", "read"])
def test_few_bytes_that_ask_for_many_places_are_refused(stubs, signature):
    request = predict_request(signature, token=([0] * 4, tf.int32))
    request.inputs["ids"].CopyFrom(tf.make_tensor_proto([[1]], tf.int32))
    for dimension, size in zip(request.inputs["ids"].tensor_shape.dim, (4, 2501), strict=True):
        dimension.size = size  # one value, repeated
    for layer in range(2):
        request.inputs[f"state_{layer}"].CopyFrom(tf.make_tensor_proto(np.zeros([4, 7], np.float32)))
    if signature == "read":
        request.inputs["count"].CopyFrom(tf.make_tensor_proto([1] * 4, tf.int32))
    assert request.ByteSize() < 600

    code, said = refused(stubs.predict, request)

    assert (code, "10000 places at most" in said) == (CODE.INVALID_ARGUMENT, True)
    request.inputs["ids"].tensor_shape.dim[1].size = 2500
    assert stubs.predict(request).outputs


@pytest.mark.parametrize("wrong", [-1, 5])
@pytest.mark.parametrize("name", ["token", "ids"])
def test_ids_that_no_token_has_are_refused(stubs, name, wrong):
    inputs = {"token": [0], "ids": [[1, 2]]}
    inputs[name] = np.full_like(inputs[name], wrong)
    states = {f"state_{layer}": (np.zeros([1, 7]), tf.float32) for layer in range(2)}
    for signature in ("next_log_probs", "read"):
        given = inputs | ({"count": [2]} if signature == "read" else {})
        request = predict_request(signature, **{key: (value, tf.int32) for key, value in given.items()}, **states)

        code, said = refused(stubs.predict, request)

        assert (code, said) == (
            CODE.INVALID_ARGUMENT,
            f"Input {name!r} must be ids of tokens, 0 … 4. Received: {wrong}.",
        )


def test_requests_are_logged_a_line_each(stubs, caplog):
    def told():
        lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
        # A line is written after the answer: one of a test before may still come.
        return [(line["method"], line["route"], line["status"]) for line in lines if line["route"] != "Predict"]

    with caplog.at_level(logging.INFO, "components.server"):
        stubs.status()
        refused(stubs.metadata, field="weights")
        wait_until(lambda: len(told()) >= 2)

    assert sorted(told()) == [("gRPC", "GetModelMetadata", "INVALID_ARGUMENT"), ("gRPC", "GetModelStatus", "OK")]


def test_methods_that_are_not_served_say_so_without_an_error_in_the_log(stubs, caplog):
    prediction, models = stubs._prediction, stubs._models
    with caplog.at_level(logging.INFO):
        for call, request in (
            (prediction.Classify, classification_pb2.ClassificationRequest()),
            (prediction.Regress, regression_pb2.RegressionRequest()),
            (prediction.MultiInference, inference_pb2.MultiInferenceRequest()),
            (models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
        ):
            assert refused(call, request, timeout=SECONDS)[0] == CODE.UNIMPLEMENTED
        wait_until(lambda: len(caplog.records) >= 4)

    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_version_labels_are_refused(stubs):
    request = predict_request(prompt=prompts("a"))
    request.model_spec.version_label = "stable"

    assert refused(stubs.predict, request)[0] == CODE.INVALID_ARGUMENT


def test_metadata_is_that_of_the_saved_model(stubs, small):
    response = stubs.metadata(version=3)

    assert (response.model_spec.name, response.model_spec.version.value) == ("rnn", 3)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    saved = import_quietly("tensorflow.core.protobuf.saved_model_pb2").SavedModel.FromString(
        (small.saved_model / "saved_model.pb").read_bytes()
    )
    assert found.signature_def["generate"] == saved.meta_graphs[0].signature_def["generate"]
    assert refused(stubs.metadata, name="x")[0] == CODE.NOT_FOUND
    assert refused(stubs.metadata, version=4)[0] == CODE.NOT_FOUND
    assert refused(stubs.metadata, field="weights")[0] == CODE.INVALID_ARGUMENT


def test_status_has_the_versions_and_their_states(stubs):
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE

    found = [(status.version, status.state, status.status.error_code) for status in stubs.status().model_version_status]

    assert found == [(5, available, 0), (3, available, 0)]
    assert [status.version for status in stubs.status(version=3).model_version_status] == [3]
    assert refused(stubs.status, name="x")[0] == CODE.NOT_FOUND
    assert refused(stubs.status, version=4)[0] == CODE.NOT_FOUND


def test_key_is_asked_for(server):
    with beside(server, Limits(), "sécret") as guarded:
        stubs = Stubs(guarded)
        with stubs.channel:
            request = predict_request(prompt=prompts("he"), max_length=([2], tf.int32))
            assert refused(stubs.predict, request)[0] == CODE.UNAUTHENTICATED
            assert refused(stubs.status)[0] == CODE.UNAUTHENTICATED
            assert refused(stubs.metadata)[0] == CODE.UNAUTHENTICATED
    with beside(server, Limits(), "secret") as guarded:
        stubs = Stubs(guarded)
        with stubs.channel:
            wrong, right = ([("authorization", f"Bearer {key}")] for key in ("secre", "secret"))
            assert refused(stubs.predict, request, metadata=wrong)[0] == CODE.UNAUTHENTICATED
            assert stubs.predict(request, metadata=right).outputs


def test_limits_have_their_codes(server):
    with beside(server, Limits(seconds=0.2, max_length=10**6, concurrent=1)) as limited:
        stubs = Stubs(limited)
        with stubs.channel:
            lengths = dict.fromkeys(("max_length", "min_length"), ([10**6], tf.int32))
            long = predict_request("sample", prompt=prompts("he"), **lengths)
            assert refused(stubs.predict, long)[0] == CODE.DEADLINE_EXCEEDED
            limited.core.in_flight += 1
            assert refused(stubs.predict, long)[0] == CODE.RESOURCE_EXHAUSTED
            limited.core.is_ending = True
            assert refused(stubs.predict, long)[0] == CODE.UNAVAILABLE


def test_client_that_cancels_frees_its_rows(server, stubs):
    request = predict_request("sample", prompt=prompts("h"), **{
        "max_length": ([100_000], tf.int32), "min_length": ([100_000], tf.int32)
    })  # fmt: skip
    writing = server.core.versions.loaded[0].writing
    call = stubs._prediction.Predict.future(request)
    wait_until(lambda: writing.active)

    call.cancel()

    wait_until(lambda: not writing.active and not server.core.in_flight)
    assert arrays(stubs.predict(predict_request(prompt=prompts("he"))))["text"][0].startswith(b"he")
