"""Runs the server: both protocols in one loop, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from components.native_logs import import_quietly
from components.server.core import Core
from components.server.limits import Limits
from components.server.versions import Versions

_REFRESH_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Address:
    """Where the server listens.

    Attributes:
        host: Name or number.
        port: Of HTTP; 0 takes a free one.
        grpc_port: Of gRPC; 0 takes a free one, None serves no gRPC.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = 8500


def serve(
    model: Path,
    name: str,
    address: Address,
    say: Callable[[str], None],
    api_key: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 frozen
    keep: int = 2,
    grace: float = 30.0,
) -> None:
    """Serves a model until SIGINT or SIGTERM, then lets the requests in flight end.

    Args:
        model: Its folder of versions, or one version's.
        name: That clients know it by.
        address: Where.
        say: Told when the server listens, and when it ends.
        api_key: That clients must send; None for none.
        limits: Of requests.
        keep: Versions that are served at once, the newest.
        grace: Seconds that requests in flight have when it ends.

    Raises:
        OSError: The address is in use, or none of this machine.
    """
    import_quietly("tensorflow")
    asyncio.run(_serve(model, name, address, say, api_key, limits, keep, grace))


async def _serve(
    model: Path,
    name: str,
    address: Address,
    say: Callable[[str], None],
    api_key: str | None,
    limits: Limits,
    keep: int,
    grace: float,
) -> None:
    # Imported here: they need TensorFlow.
    from components.server.app import make_app
    from components.server.grpc_api import make_server
    from components.server.metrics import Metrics

    _log_to_stderr()
    core = Core(Versions(name, model, keep), limits)
    metrics = Metrics(core)
    app = make_app(core, metrics, api_key)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(grace),
        lifespan="off",
        server_header=False,
    )
    web = _Server(config)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)

    listening = _listen(address)
    port = listening.getsockname()[1]
    grpc_server, grpc_port = None, None
    if address.grpc_port is not None:
        grpc_server = make_server(core, metrics, api_key)
        grpc_port = grpc_server.add_insecure_port(f"{address.host}:{address.grpc_port}")
        await grpc_server.start()
    serving = asyncio.create_task(web.serve([listening]))
    say(f"http://{address.host}:{port} and gRPC on {address.host}:{grpc_port}: loading {model} as {name!r} …")
    # /healthz and /readyz answer while the first version is loaded.
    loading = loop.run_in_executor(None, core.versions.refresh)
    await asyncio.wait([loading, asyncio.create_task(ending.wait())], return_when=asyncio.FIRST_COMPLETED)
    if not ending.is_set():
        loading.result()
        core.versions.watch(_REFRESH_SECONDS)
        say(f"ready: version {', '.join(str(version.number) for version in core.versions.loaded) or 'none'}")
        await ending.wait()

    say("ending: no new requests; those in flight are answered")
    app.state.draining = True
    web.should_exit = True
    ended = [serving]
    if grpc_server is not None:
        ended.append(asyncio.ensure_future(grpc_server.stop(grace)))
    await asyncio.gather(*ended)
    await loading
    await loop.run_in_executor(None, core.versions.close)
    core.close()


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: a signal ends both protocols."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(address: Address) -> socket.socket:
    """A socket that listens: what is wrong with the address is known before anything is loaded."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # The protocol is named: asyncio switches Nagle's algorithm off only then, and an answer waits 40 ms with it.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((address.host, address.port))
    return listening


class _JsonLines(logging.Formatter):
    """A log line is a JSON object. Texts of requests are never among what is told."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        told |= getattr(record, "told", {})
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    log = logging.getLogger("components.server")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
