"""What every HTTP request passes, and what is none of the models': health, metrics, the page, paths, keys, bodies."""

import contextlib
import json
import logging
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.server.limits import Limits
from components.server.serve import JsonLines
from tests.components.server.running import SECONDS, beside
from tests.processes import wait_until

PREDICT = "/v1/models/rnn:predict"


def test_health_page_and_openapi_are_there(server):
    assert server.ask("GET", "/healthz") == (200, {"status": "ok"})
    assert server.ask("GET", "/readyz") == (200, {"ready": True, "name": "rnn"})
    assert server.raw("HEAD", "/healthz") == server.raw("HEAD", "/readyz") == (200, b"")
    status, page = server.raw("GET", "/")
    assert status == 200
    assert b"<" in page
    paths = server.ask("GET", "/openapi.json")[1]["paths"]
    assert {"/v1/models/{name}:predict", "/v1/models/{name}:generate", "/metrics"} <= set(paths)
    body = paths["/v1/models/{name}:generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "prompt" in body["properties"]


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fapp.py",
        "/../app.py",
        "//etc/passwd",
        "/etc/passwd",
        "/%00",
        "/\x7f",
        "/v1/models/..%2f..%2fetc",
        "/v1/models/%2e%2e",
        "/v1/models/../rnn",
        "/v1/models/rnn/versions/..",
        "/v1/models/rnn/versions/%2e%2e%2f3",
        "/v1/models/%2fetc%2fpasswd/metadata",
        "/v1/models/%0d%0aX:1/metadata",
        "/v1/models/" + "x" * 5000,
    ],
)
def test_paths_never_reach_the_file_system(server, path):
    status, answer = server.raw("GET", path) if "\x7f" not in path else server.raw("GET", "/%7f")

    assert status in (400, 404)
    assert set(json.loads(answer)) == {"error"}


def test_key_is_asked_for_where_it_matters(server):
    with beside(server, Limits(), "secret") as guarded:
        body = {"instances": ["he"]}
        for key in (None, "Bearer secre", "Bearer secret ", "secret", "Basic secret", "Bearer \xe9"):
            headers = {} if key is None else {"Authorization": key}
            status, answer = guarded.ask("POST", PREDICT, body, **headers)
            expected = 200 if key == "Bearer secret " else 401  # HTTP takes blanks at the end for none
            assert status == expected, (key, answer)
        for path in ("/v1/models/rnn", "/metrics", "/openapi.json", "/%761/models/rnn"):
            assert guarded.raw("GET", path)[0] == 401
            assert guarded.raw("GET", path, headers={"Authorization": "Bearer secret"})[0] == 200
        for path in ("/", "/healthz", "/readyz"):
            assert guarded.raw("GET", path)[0] == 200


def test_body_above_the_limit_is_413_and_its_sender_reads_that(server):
    status, answer = server.raw("POST", PREDICT, b"x" * 10_000_000)

    assert status == 413
    assert "at most 4194304 bytes" in json.loads(answer)["error"]


def test_chunked_body_above_the_limit_is_413(server):
    chunks = (b"x" * 100_000 for _ in range(100))
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    connection.request("POST", PREDICT, chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 413
    connection.close()


def test_body_at_the_limit_is_read(server):
    body = b'{"instances": ["he"]}'
    with beside(server, Limits(body_bytes=len(body))) as limited:
        assert limited.raw("POST", PREDICT, body)[0] == 200
        assert limited.raw("POST", PREDICT, body + b" ")[0] == 413


def test_body_that_does_not_come_is_not_waited_for(server):
    with (
        beside(server, Limits(seconds=0.2)) as limited,
        socket.create_connection(("127.0.0.1", limited.port), SECONDS) as client,
    ):
        client.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n".encode() + b"{")
        assert client.recv(100).startswith(b"HTTP/1.1 503")


def unfinished(server, head=1000):
    """A client whose request has a body that does not come to its end."""
    client = socket.create_connection(("127.0.0.1", server.port), SECONDS)
    client.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n".encode() + b" " * head)
    return client


def test_request_whose_body_is_not_there_yet_is_in_flight(server):
    with beside(server, Limits(concurrent=2)) as limited:
        with unfinished(limited), unfinished(limited):
            wait_until(lambda: limited.core.in_flight == 2)
            assert limited.ask("POST", PREDICT, {"instances": ["he"]})[0] == 429
            assert limited.ask("GET", "/healthz")[0] == 200
        wait_until(lambda: not limited.core.in_flight)
        assert limited.ask("POST", PREDICT, {"instances": ["he"]})[0] == 200


def test_bodies_hold_so_much_memory_together_and_no_more(server):
    with beside(server, Limits(body_bytes=1000)) as limited, contextlib.ExitStack() as clients:
        for _ in range(16):
            clients.enter_context(unfinished(limited))
        wait_until(lambda: limited.core.in_flight == 16)
        body = b'{"instances": ["he"]}'
        wait_until(lambda: limited.raw("POST", PREDICT, body)[0] == 429)
        clients.pop_all().close()
        wait_until(lambda: not limited.core.in_flight)
        assert limited.raw("POST", PREDICT, body)[0] == 200


def is_closed(client):
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def test_connections_beyond_the_bound_are_closed_and_the_others_answered(server):
    with beside(server, Limits(), connections=3) as limited:
        address = ("127.0.0.1", limited.port)
        with contextlib.ExitStack() as clients:
            first, *_ = [clients.enter_context(socket.create_connection(address, SECONDS)) for _ in range(3)]
            first.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert first.recv(100).startswith(b"HTTP/1.1 200")
            for _ in range(20):
                with socket.create_connection(address, SECONDS) as further:
                    assert is_closed(further)
        wait_until(lambda: answers(limited))


def answers(server):
    try:
        return server.ask("GET", "/healthz")[0] == 200
    except OSError:  # there are connections that it has not seen closed
        return False


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET / HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("is_first", [True, False])
def test_connection_without_a_whole_header_is_closed(server, is_first, sent):
    with (
        beside(server, Limits(), header_seconds=0.2) as limited,
        socket.create_connection(("127.0.0.1", limited.port), SECONDS) as client,
    ):
        if not is_first:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"ok" not in answer:
                answer += client.recv(1000)
        client.sendall(sent)
        assert is_closed(client)


def test_request_that_takes_longer_than_its_header_may_is_answered(server):
    body = b'{"max_length": 30000, "min_length": 30000}'
    with beside(server, Limits(), header_seconds=0.05) as limited:
        head = b"POST /v1/models/rnn:generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        with socket.create_connection(("127.0.0.1", limited.port), SECONDS) as client:
            client.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert client.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("request_line", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"G" * 70_000 + b" / HTTP/1.1\r\n\r\n"])
def test_bytes_that_are_no_http_are_refused(server, request_line):
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as client:
        client.sendall(request_line)
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert server.ask("GET", "/healthz")[0] == 200


# ---- Metrics and logs -----------------------------------------------------------------------------------------------


def samples(server):
    text = server.raw("GET", "/metrics")[1].decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_requests_and_tokens(server):
    route = ("route", "/v1/models/{name}:generate")
    counted = ("rnn_requests_total", ("code", "200"), ("method", "POST"), route)
    timed = ("rnn_request_seconds_count", ("method", "POST"), route)
    written = ("rnn_tokens_written_total", ("version", "5"))
    server.post(":generate", {"max_length": 1})
    before = samples(server)

    server.post(":generate", {"max_length": 30, "min_length": 30})

    after = samples(server)
    assert [after[key] - before[key] for key in (counted, timed, written)] == [1, 1, 30]
    assert after[("rnn_requests_in_flight",)] == 0
    assert after[("rnn_sessions",)] == len(server.core.sessions)
    assert after[("rnn_texts_active", ("version", "5"))] == 0


def test_clients_do_not_choose_the_labels_of_metrics(server):
    before = set(samples(server))
    for i in range(3):
        server.raw(f"FOO{i}", f"/x{i}")
        server.raw("GET", f"/y{i}")
        server.raw("GET", f"/v1/models/z{i}")

    new = set(samples(server)) - before

    assert not [key for key in new for _, value in key[1:] if value[:1] in "xyzF" or "/x" in value or "/y" in value]


def test_logs_are_json_lines_without_prompts_or_ids(server, caplog):
    with caplog.at_level(logging.INFO, "components.server"):
        server.post(":generate", {"prompt": "hello", "max_length": 3})
        server.refused(":generate", {"prompt": "hello", "top_p": 0})
        session = server.ask("POST", "/v1/models/rnn/sessions")[1]["session"]
        server.ask("DELETE", f"/v1/models/rnn/sessions/{session}")
        wait_until(lambda: len(caplog.records) == 4)  # a request is logged when it is answered
    lines = [JsonLines().format(record) for record in caplog.records]

    told = [json.loads(line) for line in lines]

    assert [line["status"] for line in told] == [200, 400, 201, 204]
    assert {"time", "level", "message", "method", "route", "ms"} <= set(told[0])
    assert not [line for line in lines if "hello" in line or session in line]


def test_failures_are_500_and_logged_without_what_they_quote(server, caplog, monkeypatch):
    def fail(*_):
        raise RuntimeError("hello")

    monkeypatch.setattr(type(server.core), "stream", fail)
    with caplog.at_level(logging.INFO):
        found = server.refused(":generate", {"prompt": "hello"}, 500)
        wait_until(lambda: any(record.exc_info for record in caplog.records))

    assert found == "Internal error: RuntimeError."
    lines = [JsonLines().format(record) for record in caplog.records]
    assert any("RuntimeError" in line and "test_app.py" in line for line in lines)
    assert not [line for line in lines if '"hello"' in line or "hello" in json.loads(line).get("message", "")]
    assert server.ask("GET", "/healthz")[0] == 200
