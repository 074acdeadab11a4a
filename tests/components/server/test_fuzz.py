"""Requests drawn at random: never a crash, never a hang, always JSON, an error always says what is wrong."""

import json
import urllib.parse

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


TEXTS = st.text("helo é🙂\0\n", max_size=12)
NUMBERS = {
    "max_length": st.integers(-1, 30),
    "min_length": st.integers(-1, 30),
    "temperature": st.floats(-0.5, 5),
    "top_k": st.integers(-1, 9),
    "top_p": st.floats(-0.1, 1.1),
    "seed": st.integers(-(2**64), 2**64),
    "repetition_stop": st.integers(-1, 20),
}
GENERATE = st.fixed_dictionaries(
    {"prompt": mostly(TEXTS), "max_length": mostly(NUMBERS["max_length"])},
    optional={
        **{name: mostly(values) for name, values in NUMBERS.items() if name != "max_length"},
        "samples": mostly(st.integers(0, 3)),
        "stream": mostly(st.booleans()),
        "session": VALUES,
        "other": VALUES,
    },
)
COLUMNS = st.fixed_dictionaries(
    {"prompt": mostly(st.lists(TEXTS, max_size=3)), "max_length": mostly(st.lists(NUMBERS["max_length"], max_size=2))},
    optional={
        **{name: mostly(st.lists(values, min_size=1, max_size=2)) for name, values in NUMBERS.items()},
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
    st.tuples(st.just(":inspect"), st.fixed_dictionaries({"text": mostly(TEXTS)}, optional={"top": VALUES})),
)
seen: set[int] = set()


def check(status, answer, method="POST"):
    seen.add(status)
    assert status < 500, (status, answer)
    if status >= 400 and method != "HEAD":
        assert set(json.loads(answer)) == {"error"}


@SETTINGS
@given(CASES)
def test_requests_that_are_nearly_right(server, case):
    path, body = case
    check(*server.raw("POST", f"/v1/models/rnn{path}", json.dumps(body).encode()))


@SETTINGS
@given(st.sampled_from([":generate", ":predict", ":inspect", "/sessions"]), st.binary(max_size=200))
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


def test_the_requests_were_good_and_bad():
    """A guard: the three tests above would find nothing if all were refused."""
    assert {200, 400, 404} <= seen
