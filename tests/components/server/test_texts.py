"""Texts as they are written, sessions, and what the network does at each place."""

import base64
import concurrent.futures
import json
import random
import socket

import numpy as np
import pytest

from components.server.limits import Limits
from tests.components.server.running import SECONDS, beside
from tests.processes import wait_until

SLOW = {"max_length": 100_000, "min_length": 100_000}


def test_generate_answers_what_the_saved_model_writes(server, direct):
    expected = direct.generate(["he"] * 3, max_length=[12], temperature=[0.8], seed=[4, 5, 6])
    body = {"prompt": "he", "max_length": 12, "temperature": 0.8, "seed": 4, "samples": 3}

    answer = server.post("/versions/3:generate", body)

    assert (answer["model"], answer["version"]) == ("rnn", "3")
    texts = answer["texts"]
    assert [text["text"] for text in texts] == expected["text"]
    assert ["he" + text["continuation"] for text in texts] == expected["text"]
    assert [text["seed"] for text in texts] == [4, 5, 6]
    assert [text["finished"] for text in texts] == expected["finished"].tolist()
    np.testing.assert_allclose([text["log_prob"] for text in texts], expected["log_prob"], rtol=1e-5)
    assert all(text["prompt_tokens"] == 2 for text in texts)


def test_seed_is_drawn_and_told(server):
    seeds = {server.post(":generate", {"max_length": 3})["texts"][0]["seed"] for _ in range(5)}

    assert len(seeds) == 5


def test_pieces_of_a_stream_join_to_the_whole_text(server):
    body = {"prompt": "he", "max_length": 400, "min_length": 300, "seed": 1, "samples": 3}
    whole = server.post(":generate", body)["texts"]

    events = server.events(":generate", body | {"stream": True})

    assert {name for name, _ in events} == {"piece", "done"}, events[-1]
    for index, text in enumerate(whole):
        mine = [(name, data) for name, data in events if data["index"] == index]
        pieces = [data["piece"] for name, data in mine if name == "piece"]
        assert "".join(pieces) == text["continuation"]
        assert len(pieces) > 1
        told = ("seed", "prompt_tokens", "tokens", "log_prob", "finished", "repeated")
        assert mine[-1] == ("done", {"index": index, "version": "5", **{key: text[key] for key in told}})
    assert [name for name, _ in events].count("done") == 3


def test_stream_of_nothing_is_done_at_once(server):
    assert [name for name, _ in server.events(":generate", {"max_length": 0, "stream": True})] == ["done"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"prompt": 3}, 400, "prompt: Input should be a valid string"),
        ({"prompt": "\ud800"}, 400, "prompt"),
        ({"promt": "a"}, 400, "promt"),
        ({"max_length": -1}, 400, "max_length"),
        ({"max_length": 10.5}, 400, "max_length"),
        ({"max_length": True}, 400, "max_length"),
        ({"max_length": 100_001}, 400, "max_length must be at most 100000"),
        ({"temperature": float("nan")}, 400, "temperature"),
        ({"temperature": float("inf")}, 400, "temperature"),
        ({"temperature": -1}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"top_p": 2}, 400, "top_p"),
        ({"top_k": 2**31}, 400, "top_k"),
        ({"seed": 2**63}, 400, "seed"),
        ({"seed": 2**63 - 1, "samples": 2}, 400, "seed + samples"),
        ({"samples": 0}, 400, "samples"),
        ({"samples": 257}, 400, "at most 256 rows"),
        ({"prompt": "h" * 100_001}, 400, "at most 100000 long"),
        ({"session": "no"}, 404, "session"),
        ({"session": 3}, 400, "session"),
        ({"session": "no", "samples": 2}, 400, "one text at a time"),
    ],
)
def test_bad_request_has_its_status_before_anything_is_streamed(server, body, status, said, stream):
    assert said in server.refused(":generate", body | {"stream": stream}, status)


def test_unknown_models_are_not_found(server):
    for path in ("/v1/models/x:generate", "/v1/models/x/sessions", "/v1/models/rnn/versions/4:generate"):
        assert server.ask("POST", path, {"stream": True})[0] == 404


def test_errors_quote_no_prompt(server):
    assert "secret" not in server.refused(":generate", {"prompt": ["secret"], "max_length": "secret"})


# ---- Many at once ---------------------------------------------------------------------------------------------------


def test_texts_are_the_same_alone_and_among_64_at_once(server):
    bodies = [
        {"prompt": "helo"[: i % 5], "seed": i, "max_length": 20 + 7 * i, "min_length": 20, "temperature": 0.5 + i / 50}
        for i in range(64)
    ]
    alone = [server.post(":generate", body)["texts"] for body in bodies]
    assert len({texts[0]["text"] for texts in alone}) == 64
    order = list(range(64))
    random.Random(1).shuffle(order)

    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        together = dict(
            zip(order, pool.map(lambda i: server.post(":generate", bodies[i])["texts"], order), strict=True)
        )

    for i, texts in enumerate(alone):
        found, expected = together[i][0], texts[0]
        assert found["log_prob"] == pytest.approx(expected["log_prob"], rel=1e-5)
        assert {**found, "log_prob": 0} == {**expected, "log_prob": 0}


def test_client_that_goes_away_frees_its_rows(server):
    writing = server.core.versions.loaded[0].writing
    for stream in (True, False):
        body = json.dumps({**SLOW, "samples": 5, "stream": stream}).encode()
        head = f"POST /v1/models/rnn:generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", server.port), SECONDS) as client:
            client.sendall(head + body)
            wait_until(lambda: writing.active == 5)
            if stream:
                assert client.recv(100).startswith(b"HTTP/1.1 200")

        wait_until(lambda: not writing.active and not server.core.in_flight)
    assert server.post(":generate", {"max_length": 3})["texts"]


# ---- Limits ---------------------------------------------------------------------------------------------------------


def test_what_takes_too_long_ends_with_503_or_an_event(server):
    with beside(server, Limits(seconds=0.3, max_length=10**6)) as limited:
        body = {"max_length": 10**6, "min_length": 10**6}
        assert "longer than 0.3 seconds" in limited.refused(":generate", body, 503)
        name, data = limited.events(":generate", body | {"stream": True})[-1]
        assert (name, set(data)) == ("error", {"error"})
        # Those that were cut off have left their rows.
        wait_until(lambda: not server.core.versions.loaded[0].writing.active)
        assert limited.post(":generate", {"max_length": 3})["texts"]


def test_more_requests_than_there_may_be_are_429(server):
    with beside(server, Limits(concurrent=2)) as limited:
        body = json.dumps({**SLOW, "stream": True}).encode()
        head = f"POST /v1/models/rnn:generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with (
            socket.create_connection(("127.0.0.1", limited.port)) as one,
            socket.create_connection(("127.0.0.1", limited.port)) as two,
        ):
            one.sendall(head + body)
            two.sendall(head + body)
            wait_until(lambda: limited.core.in_flight == 2)
            for path, request in ((":generate", {}), (":predict", {"instances": ["he"]}), (":inspect", {"text": "h"})):
                assert "Try again" in limited.refused(path, request, 429)
            assert limited.ask("GET", "/healthz")[0] == 200
        wait_until(lambda: not limited.core.in_flight)
        assert limited.post(":generate", {"max_length": 3})["texts"]


def test_server_that_ends_takes_no_requests_and_says_so(server):
    with beside(server, Limits()) as ending:
        assert ending.ask("GET", "/readyz")[0] == 200
        ending.core.is_ending = True
        assert ending.ask("GET", "/readyz") == (503, {"ready": False, "name": "rnn"})
        assert ending.ask("GET", "/healthz")[0] == 200
        for path, request in ((":generate", {}), (":predict", {"instances": ["he"]}), ("/sessions", {})):
            assert "about to end" in ending.refused(path, request, 503)


# ---- Sessions -------------------------------------------------------------------------------------------------------


def opened(server):
    status, answer = server.ask("POST", "/v1/models/rnn/sessions")
    assert (status, answer["version"]) == (201, "5")
    return answer["session"]


def test_session_goes_on_where_its_text_was_left_off(server):
    controls = {"seed": 3, "min_length": 40, "temperature": 0.9}
    whole = server.post(":generate", {"prompt": "he", "max_length": 40, **controls})["texts"][0]
    session = opened(server)

    first = server.post(":generate", {"prompt": "he", "max_length": 15, "session": session, **controls})["texts"][0]
    events = server.events(":generate", {"max_length": 25, "session": session, "stream": True, **controls})
    second = "".join(data["piece"] for name, data in events if name == "piece")

    assert first["text"] + second == whole["text"]
    assert first["log_prob"] + events[-1][1]["log_prob"] == pytest.approx(whole["log_prob"], rel=1e-4)
    without = server.post(":generate", {"max_length": 25, **controls})["texts"][0]["text"]
    assert without != second  # guard: the state matters


def test_session_takes_a_prompt_in_the_middle(server):
    controls = {"seed": 3, "min_length": 9, "temperature": 0.9}
    session = opened(server)
    first = server.post(":generate", {"prompt": "he", "max_length": 5, "session": session, **controls})["texts"][0]

    second = server.post(":generate", {"prompt": "oh", "max_length": 9, "session": session, **controls})["texts"][0]

    joined = {"prompt": first["text"] + "oh", "max_length": 9, **controls}
    assert second["continuation"] == server.post(":generate", joined)["texts"][0]["continuation"]


def test_session_is_closed_and_then_unknown(server):
    session = opened(server)
    path = f"/v1/models/rnn/sessions/{session}"

    assert server.ask("DELETE", f"/v1/models/x/sessions/{session}")[0] == 404
    assert server.ask("DELETE", path)[0] == 204
    assert server.ask("DELETE", path)[0] == 404
    server.refused(":generate", {"session": session}, 404)


def test_session_of_another_server_is_unknown(server):
    session = opened(server)
    with beside(server, Limits()) as other:
        other.refused(":generate", {"session": session}, 404)
    server.refused(":generate", {"session": session[:-1] + ("A" if session[-1] != "A" else "B")}, 404)


def test_session_is_asked_of_its_own_version(server):
    session = opened(server)

    assert "its own version, 5" in server.refused("/versions/3:generate", {"session": session})
    assert server.post("/versions/5:generate", {"session": session, "max_length": 2})["version"] == "5"
    older = server.ask("POST", "/v1/models/rnn/versions/3/sessions")[1]
    assert older["version"] == "3"
    assert server.post(":generate", {"session": older["session"], "max_length": 2})["version"] == "3"
    server.refused("/versions/4/sessions", None, 404)


def test_session_whose_version_is_gone_is_not_found(server):
    session = opened(server)
    server.core.sessions._open[session].version = 4

    server.refused(":generate", {"session": session}, 404)


def test_busy_session_is_409_and_stays_where_it_was_when_its_client_leaves(server):
    session = opened(server)
    body = json.dumps({**SLOW, "session": session, "stream": True}).encode()
    head = f"POST /v1/models/rnn:generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as client:
        client.sendall(head + body)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        server.refused(":generate", {"session": session}, 409)
    wait_until(lambda: not server.core.in_flight)

    fresh = server.post(":generate", {"seed": 1, "max_length": 9})["texts"]
    assert server.post(":generate", {"seed": 1, "max_length": 9, "session": session})["texts"] == fresh


def test_sessions_are_bounded(server):
    with beside(server, Limits(sessions=3, session_seconds=600)) as limited:
        for _ in range(3):
            opened(limited)
        limited.refused("/sessions", {}, 429)


# ---- What the network does ------------------------------------------------------------------------------------------


def test_inspect_tells_what_comes_next_and_the_states(server, direct):
    expected = direct("inspect", text=["hello"])
    p = np.exp(expected["log_probs"][0])

    answer = server.post(":inspect", {"text": "hello", "top": 2})

    assert answer["tokens"] == ["<end>", *"hello"]
    assert [len(row) for row in answer["top"]] == [2] * 6
    for place, best in enumerate(answer["top"]):
        assert [value for _, value in best] == pytest.approx(sorted(p[place])[::-1][:2], abs=1e-4)
    names = ["<end>", *"ehlo"]
    bits = [-np.log2(p[place, names.index(token)]) for place, token in enumerate("hello")]
    assert answer["bits"][0] is None
    assert answer["bits"][1:] == pytest.approx(bits, abs=2e-3)
    states = answer["states"]
    found = np.frombuffer(base64.b64decode(states["b64"]), np.int8).reshape(states["shape"]) / 127 * states["scale"]
    np.testing.assert_allclose(found, expected["states"][0], atol=0.005)


@pytest.mark.parametrize(
    "body",
    [{}, {"text": 3}, {"text": "a", "top": 0}, {"text": "a", "top": 99}, {"text": "h" * 10_001}, {"text": "\ud800"}],
)
def test_bad_inspect_is_refused(server, body):
    server.refused(":inspect", body)
