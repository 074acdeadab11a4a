"""Requests drawn at random: never a crash, never a hang, always JSON, an error always says what is wrong."""

import json
import urllib.parse

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from components.heavy_imports import import_quietly
from tests.components.server.running import SECONDS

tf = import_quietly("tensorflow")

SETTINGS = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("b64"), inner, max_size=3)
    ),
    max_leaves=8,
)


def mostly(good):
    """What is right, or anything."""
    return st.one_of(good, good, good, VALUES)


OPEN = "a session that is open"
TEXTS = st.text("helo é🙂\0\n", max_size=12)
LENGTH = st.integers(-1, 30)
OTHER_NUMBERS = {
    "min_length": st.integers(-1, 30),
    "temperature": st.floats(-0.5, 5),
    "top_k": st.integers(-1, 9),
    "top_p": st.floats(-0.1, 1.1),
    "seed": st.integers(-(2**64), 2**64),
    "repetition_stop": st.integers(-1, 20),
}
GENERATE = st.fixed_dictionaries(
    {"prompt": mostly(TEXTS), "max_length": mostly(LENGTH)},
    optional={
        **{name: mostly(values) for name, values in OTHER_NUMBERS.items()},
        "samples": mostly(st.integers(0, 3)),
        "stream": mostly(st.booleans()),
        "session": st.just(OPEN) | VALUES,
        "other": VALUES,
    },
)
COLUMNS = st.fixed_dictionaries(
    {"prompt": mostly(st.lists(TEXTS, max_size=3)), "max_length": mostly(st.lists(LENGTH, max_size=2))},
    optional={
        **{name: mostly(st.lists(values, min_size=1, max_size=2)) for name, values in OTHER_NUMBERS.items()},
        "samples": mostly(st.lists(st.integers(0, 3), min_size=1, max_size=1)),
    },
)
ROWS = st.lists(
    mostly(TEXTS | st.fixed_dictionaries({"prompt": mostly(TEXTS), "max_length": mostly(st.just(3))})), max_size=3
)
SIGNATURES = st.sampled_from(
    ["", "generate", "sample", "score", "step", "initial_state", "tokenize", "inspect", "write"]
)
PREDICT = st.fixed_dictionaries(
    {}, optional={"signature_name": mostly(SIGNATURES), "instances": mostly(ROWS), "inputs": mostly(COLUMNS)}
)
CASES = st.one_of(
    st.tuples(st.just(":generate"), GENERATE),
    st.tuples(st.just(":predict"), PREDICT),
    st.tuples(st.just(":predict"), st.fixed_dictionaries({"inputs": COLUMNS})),
    st.tuples(st.just(":predict"), st.fixed_dictionaries({"instances": ROWS})),
    st.tuples(st.just("/sessions"), VALUES),
    st.tuples(st.just(":dynamics"), st.fixed_dictionaries({"text": mostly(TEXTS)}, optional={"other": VALUES})),
    st.tuples(st.just(":inspect"), st.fixed_dictionaries({"text": mostly(TEXTS)}, optional={"top": VALUES})),
)


def check(status, answer, method="POST"):
    assert status < 500, (status, answer)
    if status >= 400 and method != "HEAD":
        assert set(json.loads(answer)) == {"error"}


def test_requests_that_are_nearly_right(server):
    seen = set()
    session = server.ask("POST", "/v1/models/rnn/sessions")[1]["session"]

    @SETTINGS
    @given(CASES)
    def ask(case):
        path, body = case
        if isinstance(body, dict) and body.get("session") == OPEN:
            body = body | {"session": session}
        status, answer = server.raw("POST", f"/v1/models/rnn{path}", json.dumps(body).encode())
        check(status, answer)
        seen.add(status)

    ask()
    assert {200, 400} <= seen  # guard: nothing would be found if all were refused


@SETTINGS
@given(st.sampled_from([":generate", ":predict", ":inspect", ":dynamics", "/sessions"]), st.binary(max_size=200))
def test_bodies_of_any_bytes(server, path, body):
    check(*server.raw("POST", f"/v1/models/rnn{path}", body))


@SETTINGS
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "FOO"]),
    st.sampled_from(["/", "/v1/models/", "/v1/models/rnn", "/v1/models/rnn/versions/", "/v1/models/rnn/sessions/"]),
    st.text(max_size=20).map(lambda text: urllib.parse.quote(text.encode("utf-8", "replace"), safe="/:.")),
)
def test_paths_of_any_characters(server, method, folder, rest):
    status, answer = server.raw(method, folder + rest)
    check(status, answer, method)


# ---- gRPC -----------------------------------------------------------------------------------------------------------

SMALL = st.integers(-1, 5)
KINDS = {
    tf.string.as_datatype_enum: ("string_val", st.binary(max_size=5)),
    tf.int32.as_datatype_enum: ("int_val", SMALL | st.just(2**31 - 1)),
    tf.int64.as_datatype_enum: ("int64_val", SMALL | st.just(-(2**63))),
    tf.float32.as_datatype_enum: ("float_val", st.floats(width=32)),
    tf.resource.as_datatype_enum: ("int_val", SMALL),
}


@st.composite
def messages(draw):
    """A request whose inputs are nearly those of a signature."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = draw(st.sampled_from(["rnn"] * 9 + ["x"]))
    name = draw(
        st.sampled_from(["", "generate", "score", "step", "initial_state", "tokenize", "read", "next_log_probs"])
    )
    request.model_spec.signature_name = name
    specs = {
        "": {"prompt": (tf.string, [2])},
        "score": {"text": (tf.string, [2])},
        "initial_state": {"batch_size": (tf.int32, [])},
        "step": {"token": (tf.string, [2]), "state_0": (tf.float32, [2, 7]), "state_1": (tf.float32, [2, 7])},
        "read": {
            "token": (tf.int32, [2]),
            "ids": (tf.int32, [2, 3]),
            "count": (tf.int32, [2]),
            "state_0": (tf.float32, [2, 7]),
            "state_1": (tf.float32, [2, 7]),
        },
    }
    same = {"generate": "", "tokenize": "score", "next_log_probs": "read"}
    for key, (dtype, shape) in specs[same.get(name, name)].items():
        if draw(st.integers(0, 19)) == 0:
            continue
        value = request.inputs[key]
        is_right = draw(st.integers(0, 4)) > 0
        value.dtype = dtype.as_datatype_enum if is_right else draw(st.sampled_from(sorted(KINDS)))
        for size in shape if draw(st.integers(0, 4)) > 0 else draw(st.lists(SMALL, max_size=3)):
            value.tensor_shape.dim.add().size = size
        field, values = KINDS[value.dtype]
        getattr(value, field).extend(draw(st.lists(values, max_size=4)))
    return request


def test_messages_that_are_nearly_right(server):
    seen = set()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

        @SETTINGS
        @given(messages())
        def ask(request):
            code, said = grpc.StatusCode.OK, "well"
            try:
                stub.Predict(request, timeout=SECONDS)
            except grpc.RpcError as error:
                code, said = error.code(), error.details()
            assert code.name in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"), said
            assert said
            seen.add(code.name)

        ask()
    assert {"OK", "INVALID_ARGUMENT"} <= seen  # guard
