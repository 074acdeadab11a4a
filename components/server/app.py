"""The web application: routes, what every request passes on its way to them, health, metrics, the page."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import grpc
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from components.server import rest, texts
from components.server.core import Core
from components.server.errors import RequestError
from components.server.metrics import Metrics

_LOG = logging.getLogger("components.server.requests")
_PAGE = Path(__file__).with_name("page")
_OPEN = ("/v1/", "/metrics", "/openapi.json")  # what needs the key where there is one
_PATIENCE = 16  # times the bytes that a body may have are read before the connection is cut

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def make_app(core: Core, metrics: Metrics, api_key: str | None = None) -> FastAPI:
    """The application.

    Args:
        core: What answers.
        metrics: What counts.
        api_key: Clients must send it as `Authorization: Bearer KEY`; None asks for none.
    """
    app = FastAPI(title="RNN pipeline", docs_url=None, redoc_url=None)
    app.include_router(rest.router(core))
    app.include_router(texts.router(core))
    app.state.draining = False

    @app.get("/healthz", tags=["Operation"])
    async def healthz() -> Any:
        """Whether the process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["Operation"])
    async def readyz() -> JSONResponse:
        """Whether requests are answered: a version is loaded, and the server is not about to end."""
        ready = core.versions.is_ready and not app.state.draining
        return JSONResponse({"ready": ready, "name": core.versions.name}, 200 if ready else 503)

    @app.get("/metrics", tags=["Operation"])
    async def prometheus() -> Response:
        """Counters and times, in Prometheus' format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"error": error.message}, error.status)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": _sentence(error)}, 400)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        message = f"Malformed request: {request.method} {request.url.path}" if error.status_code < 500 else error.detail
        return JSONResponse({"error": message}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"Internal error: {type(error).__name__}."}, 500)

    app.mount("/", StaticFiles(directory=_PAGE, html=True), name="page")
    app.add_middleware(_Gate, core=core, metrics=metrics, api_key=api_key)
    return app


def _sentence(error: RequestValidationError) -> str:
    """What is wrong with a body, without the text that was sent."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return f"{where}: {first['msg']}." if where else f"{first['msg']}."


class _Gate:
    """Counts, times and logs each request; asks for the key; cuts off bodies that are too long."""

    def __init__(self, app: Any, core: Core, metrics: Metrics, api_key: str | None) -> None:
        self._app = app
        self._core = core
        self._metrics = metrics
        self._api_key = api_key

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, await self._read(scope, receive), watched)
            else:
                await JSONResponse({"error": refusal.message}, refusal.status)(scope, receive, watched)
        except RequestError as error:
            await JSONResponse({"error": error.message}, error.status)(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.observe(scope["method"], route, status, seconds)
            told = {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(1e3 * seconds, 2)}
            _LOG.info("request", extra={"told": told})

    def _refusal(self, scope: Message) -> RequestError | None:
        if self._api_key is None or not scope["path"].startswith(_OPEN):
            return None
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if hmac.compare_digest(sent, b"Bearer " + self._api_key.encode()):
            return None
        return RequestError(grpc.StatusCode.UNAUTHENTICATED, "The header Authorization must be: Bearer KEY.")

    async def _read(self, scope: Message, receive: Receive) -> Receive:
        """Reads the body, which is bounded, and hands it on as one message."""
        limit = self._core.limits.body_bytes
        body, size, more = b"", 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return receive
            size += len(message.get("body", b""))
            if size <= limit:
                body += message.get("body", b"")
            # What is too long is read all the same, within reason: a client that still sends reads no answer.
            more = message.get("more_body", False) and size <= _PATIENCE * limit
        if size > limit:
            raise RequestError(grpc.StatusCode.OUT_OF_RANGE, f"A request must have at most {limit} bytes. Send less.")
        messages = [{"type": "http.request", "body": body}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        return replay
