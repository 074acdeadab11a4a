"""The server as a user runs it, in a process of its own: started, loaded, reloaded under load, ended by a signal."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.exporter import exported
from tests.end_to_end.command_line import REPOSITORY, command

pytestmark = pytest.mark.slow
SECONDS = 300
TEXT = {"prompt": "he", "max_length": 40, "min_length": 40, "seed": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported.end_only(tmp_path_factory.getbasetemp()).saved_model


@pytest.fixture
def serving(model: Path, tmp_path: Path) -> Path:
    """A folder of versions with version 1, as Pusher fills it."""
    push(model, tmp_path / "serving", 1)
    return tmp_path / "serving"


def push(model: Path, folder: Path, number: int) -> None:
    """A version appears whole."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(model, folder.parent / "incoming")
    (folder.parent / "incoming").rename(folder / str(number))


class Process:
    """`run_pipeline.py serve`, and plain requests of it."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("http://127.0.0.1:"), first
        self.port = int(first.split()[0].rpartition(":")[2])
        self.grpc_port = int(first.split(" gRPC on 127.0.0.1:")[1].split(":")[0])

    def ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready: version")

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body).encode())
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def generate(self, **changed: Any) -> tuple[int, Any]:
        return self.ask("POST", "/v1/models/rnn:generate", TEXT | changed)

    def states(self) -> dict[str, str]:
        statuses = self.ask("GET", "/v1/models/rnn")[1]["model_version_status"]
        return {status["version"]: status["state"] for status in statuses}

    def wait_for(self, states: dict[str, str]) -> None:
        end = time.monotonic() + SECONDS
        while not states.items() <= self.states().items():
            assert time.monotonic() < end, self.states()
            time.sleep(0.1)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def started(model: Path, log: Path, *arguments: str, before: str = "pass") -> Iterator[Process]:
    """A server, whose process runs the code `before` first."""
    code = f"{before}\nimport sys\nfrom pipeline.cli import main\nsys.exit(main())"
    line = [sys.executable, "-c", code, "serve", "--model", str(model)]
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [*line, "--port", "0", "--grpc-port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=REPOSITORY,
        ) as process,
    ):
        try:
            yield Process(process, log)
        finally:
            process.kill()


@contextlib.contextmanager
def clients(server: Process, count: int = 3) -> Iterator[list[tuple[int, Any]]]:
    """Clients that ask again and again; their answers."""
    answers: list[tuple[int, Any]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(server.generate())
            time.sleep(0.02)  # a version is loaded beside

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        asking = [pool.submit(ask) for _ in range(count)]
        try:
            yield answers
        finally:
            stop.set()
    for client in asking:
        client.result()  # raises what a client met


def test_versions_come_go_and_break_under_load_and_no_request_is_lost(model: Path, serving: Path, tmp_path: Path):
    with started(serving, tmp_path / "log", "--keep", "1") as server:
        server.ready()
        status, first = server.generate()
        assert (status, first["version"]) == (200, "1")
        with clients(server) as answers:
            push(model, serving, 2)
            server.wait_for({"2": "AVAILABLE", "1": "END"})

            push(model, serving, 3)
            # Two seconds later it is gone: whether or not it was loaded, version 2 answers.
            shutil.rmtree(serving / "3")

            (tmp_path / "broken").mkdir()
            (tmp_path / "broken" / "saved_model.pb").write_bytes(b"nothing")
            (tmp_path / "broken").rename(serving / "4")
            server.wait_for({"4": "END", "2": "AVAILABLE", "1": "END"})
            broken = server.ask("GET", "/v1/models/rnn/versions/4")[1]["model_version_status"][0]["status"]
            assert broken["error_code"] == "UNKNOWN"
            assert broken["error_message"]

            shutil.rmtree(serving / "4")
            shutil.rmtree(serving / "2")
            server.wait_for({"1": "AVAILABLE"})
        assert len(answers) > 10
        assert {status for status, _ in answers} == {200}
        assert {answer["version"] for _, answer in answers} == {"1", "2"}
        # The versions are the same model: so are their texts.
        assert {answer["texts"][0]["text"] for _, answer in answers} == {first["texts"][0]["text"]}
        assert server.end() == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text("utf-8").splitlines()]
    assert sum(line["message"] == "request" for line in lines) > 10
    assert first["texts"][0]["text"] not in (tmp_path / "log").read_text("utf-8")


def test_signal_under_load_is_answered_to_the_last_request(serving: Path, tmp_path: Path):
    with started(serving, tmp_path / "log") as server:
        server.ready()
        long = {"max_length": 30_000, "min_length": 30_000, "samples": 8}
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(server.generate, **long, seed=seed) for seed in range(4)]
            metrics = f"rnn_requests_in_flight {4.0}"
            while metrics not in text(server, "/metrics"):
                time.sleep(0.01)

            server.process.send_signal(signal.SIGTERM)

            assert next_line(server).startswith("ending")
            assert not any(client.done() for client in asking)
            assert server.ask("GET", "/readyz")[0] == 503
            assert server.generate()[0] == 503
            answers = [client.result() for client in asking]
        assert [status for status, _ in answers] == [200] * 4
        assert all(len(found["texts"]) == 8 for _, found in answers)
        assert server.process.wait(SECONDS) == 0
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


def next_line(server: Process) -> str:
    assert server.process.stdout is not None
    return server.process.stdout.readline()


def text(server: Process, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()


# Native code that takes for ever, as far as a test can wait.
STUCK = """
import time
from components.server.version import LoadedVersion
LoadedVersion.{method} = lambda *_: time.sleep(10_000)
"""


def test_signal_while_the_model_is_loaded_ends_the_server_at_once(serving: Path, tmp_path: Path):
    with started(serving, tmp_path / "log", before=STUCK.format(method="__init__")) as server:
        assert server.ask("GET", "/healthz")[0] == 200
        assert server.ask("GET", "/readyz")[0] == 503
        assert server.ask("POST", "/v1/models/rnn:predict", {"instances": ["he"]})[0] == 503
        assert server.end() == 0
        assert next_line(server).startswith("ending")
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


def test_signal_does_not_wait_for_a_call_that_no_client_waits_for(serving: Path, tmp_path: Path):
    stuck = STUCK.format(method="call")
    with started(serving, tmp_path / "log", "--limit", "seconds=0.1", before=stuck) as server:
        server.ready()
        body = {"signature_name": "score", "instances": ["he"]}
        status, answer = server.ask("POST", "/v1/models/rnn:predict", body)
        assert (status, "longer than 0.1 seconds" in answer["error"]) == (503, True)
        assert server.end() == 0
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


SHORT_GRACE = """
import functools
import components.server.serve as module
module.serve = functools.partial(module.serve, grace=0.5)
"""


def test_work_that_outlasts_the_grace_is_answered_that_the_server_ends(serving: Path, tmp_path: Path):
    with started(serving, tmp_path / "log", before=STUCK.format(method="call") + SHORT_GRACE) as server:
        server.ready()
        long = {"max_length": 100_000, "min_length": 100_000, "samples": 64}
        score = {"signature_name": "score", "instances": ["he"]}
        with (
            concurrent.futures.ThreadPoolExecutor(2) as pool,
            socket.create_connection(("127.0.0.1", server.port), SECONDS) as unfinished,
            contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)) as streamed,
        ):
            streamed.request("POST", "/v1/models/rnn:generate", json.dumps(TEXT | long | {"stream": True}))
            stream = streamed.getresponse()  # it has begun
            whole = pool.submit(server.generate, **long)
            stuck = pool.submit(server.ask, "POST", "/v1/models/rnn:predict", score)
            unfinished.sendall(b"POST /v1/models/rnn:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
            while "rnn_requests_in_flight 4.0" not in text(server, "/metrics"):
                time.sleep(0.01)

            assert server.end() == 0

            for status, answer in (whole.result(), stuck.result()):
                assert (status, "The server ends" in answer["error"]) == (503, True)
            *_, last, end = stream.read().decode().split("\n\n")
            assert (last.partition("\n")[0], "The server ends" in last, end) == ("event: error", True, "")
            assert unfinished.recv(100).startswith(b"HTTP/1.1 503")
    assert "Traceback" not in (tmp_path / "log").read_text("utf-8")


def test_more_connections_than_files_stop_neither_the_server_nor_fill_its_log(serving: Path, tmp_path: Path):
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))"
    with started(serving, tmp_path / "log", before=few) as server, contextlib.ExitStack() as clients:
        server.ready()
        for port in (server.port, server.grpc_port):
            for _ in range(400):
                clients.enter_context(socket.create_connection(("127.0.0.1", port), SECONDS))
        # Those that send nothing are closed, and then others are answered.
        end = time.monotonic() + SECONDS
        while not is_alive(server):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert server.generate()[0] == 200
        assert server.end() == 0
    assert len((tmp_path / "log").read_text("utf-8").splitlines()) < 20


def is_alive(server: Process) -> bool:
    try:
        return server.ask("GET", "/healthz")[0] == 200
    except OSError:
        return False


def test_key_may_come_from_the_environment(serving: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RNN_PIPELINE_API_KEY", "secret")
    with started(serving, tmp_path / "log") as server:
        server.ready()
        assert server.generate()[0] == 401
        assert server.end() == 0


def test_port_that_is_taken_is_one_message(serving: Path, tmp_path: Path):
    with started(serving, tmp_path / "log") as server:
        for option, port in (("--port", server.port), ("--grpc-port", server.grpc_port)):
            other = {"--port": "--grpc-port", "--grpc-port": "--port"}[option]
            second = command("serve", "--model", serving, option, str(port), other, "0")

            assert second.returncode == 2
            assert "Traceback" not in second.stderr
            assert f"port {port} free" in second.stderr
            assert len(second.stderr.strip().splitlines()) == 1
        server.ready()
        assert server.end() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "65535"),
        (["--keep", "0"], "--keep"),
        (["--api-key", ""], "--api-key must not be empty"),
        (["--limit", "row=3"], "Did you mean 'rows'"),
        (["--host", "192.0.2.1", "--port", "0", "--grpc-port", "0"], "must be an address of this machine"),
    ],
)
def test_bad_usage_is_one_message(serving: Path, arguments: list[str], said: str):
    done = command("serve", "--model", serving, *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
