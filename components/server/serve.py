"""Runs the server: both protocols in one loop, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import uvicorn

from components.native_logs import quiet
from components.server.connections import most_connections, web_config
from components.server.core import Core
from components.server.limits import Limits
from components.server.versions import Versions
from pipeline.errors import UsageError

_REFRESH_SECONDS = 1.0
_LOOK_SECONDS = 0.05
_LAST_SECONDS = 5  # for the last bytes of answers


@dataclasses.dataclass(frozen=True)
class Address:
    """Where the server listens.

    Attributes:
        host: Name or number.
        port: Of HTTP; 0 takes a free one.
        grpc_port: Of gRPC; 0 takes a free one.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int = 8500


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
        UsageError: The address is in use, or none of this machine.
    """
    # The log is JSON lines: TensorFlow's native code would write its own between them.
    with quiet() as stderr:
        faulthandler.enable(stderr)  # what is left to say when the process crashes
        try:
            _log_to(stderr)
            asyncio.run(_serve(model, name, address, say, api_key, limits, keep, grace))
        finally:
            faulthandler.disable()


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

    core = Core(Versions(name, model, keep), limits)
    metrics = Metrics(core)
    app = make_app(core, metrics, api_key)
    connections = most_connections()
    web = _Server(web_config(app, connections, timeout_graceful_shutdown=_LAST_SECONDS))
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ending.set)

    listening = _listen(address)
    port = listening.getsockname()[1]
    host = f"[{address.host}]" if ":" in address.host else address.host
    grpc_server = make_server(core, metrics, api_key, connections)
    try:
        grpc_port = grpc_server.add_insecure_port(f"{host}:{address.grpc_port}")
    except RuntimeError as error:
        raise _taken(address.host, address.grpc_port, "in use") from error
    await grpc_server.start()
    serving = asyncio.create_task(web.serve([listening]))
    say(f"http://{host}:{port} and gRPC on {host}:{grpc_port}: loading {model} as {name!r} …")
    # /healthz and /readyz answer while the first version is loaded.
    loading = loop.run_in_executor(None, core.versions.refresh)
    ended = asyncio.ensure_future(ending.wait())
    await asyncio.wait((loading, ended), return_when=asyncio.FIRST_COMPLETED)
    if not ending.is_set():
        loading.result()
        core.versions.watch(_REFRESH_SECONDS)
        say(f"ready: version {', '.join(str(version.number) for version in core.versions.loaded) or 'none'}")
        await ended

    say("ending: no new requests; those in flight are answered")
    core.is_ending = True
    stopping = asyncio.ensure_future(grpc_server.stop(grace + _LAST_SECONDS))
    # /readyz says so for as long as requests are answered.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace):
            while core.in_flight:
                await asyncio.sleep(_LOOK_SECONDS)
    core.give_up()
    web.should_exit = True
    await asyncio.gather(serving, stopping)
    core.close()
    # Of no use to anybody any more, and native code cannot be stopped: the process ends without it.
    if core.is_working or not await _closed(core):
        sys.stdout.flush()
        os._exit(0)
    await loading


async def _closed(core: Core) -> bool:
    """Unloads all versions; whether that did not take long."""
    closing = asyncio.get_running_loop().run_in_executor(None, core.versions.close)
    return bool((await asyncio.wait([closing], timeout=_LAST_SECONDS))[0])


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
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        listening.listen()  # two sockets may be bound to a port, one may listen
    except OSError as error:
        listening.close()
        raise _taken(address.host, address.port, error.strerror or str(error)) from error
    return listening


def _taken(host: str, port: int, why: str) -> UsageError:
    return UsageError(
        f"serve: {host} must be an address of this machine, and port {port} free. Received: {why}. "
        "Choose others with --host, --port and --grpc-port; 0 takes a free port."
    )


class JsonLines(logging.Formatter):
    """A log line is a JSON object. Texts of requests are never among what is told."""

    def format(self, record: logging.LogRecord) -> str:
        told = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        told |= getattr(record, "told", {})
        if record.exc_info and record.exc_info[0] is not None:
            # What it was and where, not its message: that may quote a prompt.
            where = "".join(traceback.format_tb(record.exc_info[2]))
            told["exception"] = f"{record.exc_info[0].__name__}\n{where}"
        return json.dumps(told)


def _log_to(stream: TextIO) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)  # warnings of libraries, too
    # Each version that is loaded compiles anew, of which it warns.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("components.server").setLevel(logging.INFO)
