"""What every HTTP request passes on its way to a route: counted, timed, logged, bounded, asked for the key."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import grpc
from fastapi.responses import JSONResponse

from components.server.core import Core
from components.server.errors import RequestError, busy
from components.server.metrics import Metrics

_LOG = logging.getLogger("components.server.requests")
_GUARDED = ("/v1/", "/metrics", "/openapi.json")  # what needs the key where there is one
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PATIENCE = 16  # times the bytes that a body may have are read before the connection is cut
_BODIES = 16  # times the bytes that a body may have are held at once, for all requests
_GONE = 499  # nobody reads this status: the client has gone away

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Gate:
    """The middleware.

    Args:
        app: What answers.
        core: Whose limits hold.
        metrics: What counts.
        api_key: That clients must send; None for none.
    """

    def __init__(self, app: Any, core: Core, metrics: Metrics, api_key: str | None) -> None:
        self._app = app
        self._core = core
        self._metrics = metrics
        self._api_key = api_key
        self._held = 0  # bytes of the bodies of all requests

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, body = time.perf_counter(), 500, bytearray()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check_key(scope)
            # Before the body is read: one that does not come is in flight, too.
            with self._core.admitted() if _asks(scope) else contextlib.nullcontext():
                if not await self._read(receive, body) or not await self._answer(scope, bytes(body), receive, watched):
                    status = _GONE
        except RequestError as error:
            await JSONResponse({"error": error.message}, error.status)(scope, receive, watched)
        finally:
            self._held -= len(body)
            seconds = time.perf_counter() - start
            # Of what a client chooses, only what has few values: a path may hold the id of a session.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.observe(method, route, status, seconds)
            told = {"method": method, "route": route, "status": status, "ms": round(1e3 * seconds, 2)}
            _LOG.info("request", extra={"told": told})

    def _check_key(self, scope: Message) -> None:
        if self._api_key is None or not scope["path"].startswith(_GUARDED):
            return
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(sent, b"Bearer " + self._api_key.encode()):
            raise RequestError(grpc.StatusCode.UNAUTHENTICATED, "The header Authorization must be: Bearer KEY.")

    async def _read(self, receive: Receive, body: bytearray) -> bool:
        """Reads the body; whether the client was there to its end."""
        limit, size, more = self._core.limits.body_bytes, 0, True
        late = self._core.deadline()
        while more:
            message = await self._core.in_time(receive(), late, "The body of the request took longer")
            if message["type"] == "http.disconnect":
                return False
            size += len(message.get("body", b""))
            if size <= limit:
                body += message.get("body", b"")
                self._held += len(message.get("body", b""))
            if self._held > _BODIES * limit:
                raise busy("The requests that are being read hold as much memory as they may. Try again.")
            # What is too long is read all the same, within reason: a client that still sends reads no answer.
            more = message.get("more_body", False) and size <= _PATIENCE * limit
        if size > limit:
            raise RequestError(grpc.StatusCode.OUT_OF_RANGE, f"A request must have at most {limit} bytes. Send less.")
        return True

    async def _answer(self, scope: Message, body: bytes, receive: Receive, send: Send) -> bool:
        """Runs the application; whether the client was there to the end: if it goes away, so does its work."""
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.ensure_future(receive())

        async def replay() -> Message:
            return messages.pop() if messages else await asyncio.shield(gone)

        answer = asyncio.ensure_future(self._app(scope, replay, send))
        try:
            await asyncio.wait([answer, gone], return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            answer.cancel()  # nothing, where it is done
            await asyncio.wait([answer])
        if answer.cancelled():
            return False
        answer.result()
        return True


def _asks(scope: Message) -> bool:
    """Whether it is a request of the models' that takes work, which is what is counted and bounded."""
    return scope["method"] == "POST" and scope["path"].startswith("/v1/")
