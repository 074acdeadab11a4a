"""A server with both protocols in a thread of the test process, and plain clients of it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from components.server.app import make_app
from components.server.connections import web_config
from components.server.core import Core
from components.server.grpc_api import make_server
from components.server.limits import Limits
from components.server.metrics import Metrics
from components.server.versions import Versions

SECONDS = 60  # no answer takes as long


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    core: Core
    port: int
    grpc_port: int

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a request whose path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The same with JSON both ways."""
        sent = None if body is None else json.dumps(body).encode()
        status, answer = self.raw(method, path, sent, {"Content-Type": "application/json", **headers})
        return status, json.loads(answer) if answer else None

    def post(self, path: str, body: Any) -> Any:
        """The answer to a request of the model `rnn` that is well."""
        status, answer = self.ask("POST", f"/v1/models/rnn{path}", body)
        assert status == 200, answer
        return answer

    def refused(self, path: str, body: Any, status: int = 400) -> str:
        """The message of an error."""
        found, answer = self.ask("POST", f"/v1/models/rnn{path}", body)
        assert found == status, answer
        assert set(answer) == {"error"}
        return answer["error"]

    def events(self, path: str, body: Any) -> list[tuple[str, Any]]:
        """The server-sent events of an answer."""
        status, answer = self.raw("POST", f"/v1/models/rnn{path}", json.dumps(body).encode())
        assert status == 200, answer
        found = []
        for event in answer.decode().split("\n\n")[:-1]:
            name, data = event.split("\n")
            assert name.startswith("event: ")
            assert data.startswith("data: ")
            found.append((name[7:], json.loads(data[6:])))
        return found


@contextlib.contextmanager
def running(model: Path, limits: Limits = Limits(), api_key: str | None = None, keep: int = 2) -> Iterator[Running]:  # noqa: B008 frozen
    """Serves a folder of versions as `rnn`."""
    core = Core(Versions("rnn", model, keep), limits)
    core.versions.refresh()
    with _served(core, api_key) as server:
        yield server
    core.versions.close()
    core.close()


@contextlib.contextmanager
def beside(other: Running, limits: Limits, api_key: str | None = None, **connections: Any) -> Iterator[Running]:
    """Another server of the same loaded versions, with its own limits."""
    core = Core(other.core.versions, limits)
    with _served(core, api_key, **connections) as server:
        yield server
    core.close()


@contextlib.contextmanager
def _served(
    core: Core, api_key: str | None, connections: int = 1000, header_seconds: float = SECONDS
) -> Iterator[Running]:
    started: list[Any] = []
    listens = threading.Event()

    async def serve() -> None:
        metrics = Metrics(core)
        rpc = make_server(core, metrics, api_key, connections)
        grpc_port = rpc.add_insecure_port("127.0.0.1:0")
        await rpc.start()
        app = make_app(core, metrics, api_key)
        config = web_config(app, connections, seconds=header_seconds, host="127.0.0.1", port=0)
        web = uvicorn.Server(config)
        config.load()
        web.lifespan = config.lifespan_class(config)
        await web.startup()
        port = web.servers[0].sockets[0].getsockname()[1]
        started.extend((web, Running(core, port, grpc_port)))
        listens.set()
        await web.main_loop()
        await web.shutdown()
        await rpc.stop(SECONDS)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="server")
    thread.start()
    assert listens.wait(SECONDS)
    try:
        yield started[1]
    finally:
        started[0].should_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()
