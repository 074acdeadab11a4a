"""The web application: routes, health, metrics, the page."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from components.server import rest, texts
from components.server.core import Core
from components.server.errors import RequestError
from components.server.gate import Gate
from components.server.metrics import Metrics

_PAGE = Path(__file__).with_name("page")


def make_app(core: Core, metrics: Metrics, api_key: str | None = None) -> FastAPI:
    """The application.

    Args:
        core: What answers.
        metrics: What counts.
        api_key: Clients must send it as `Authorization: Bearer KEY`; None asks for none.
    """
    app = FastAPI(title="RNN pipeline", docs_url=None, redoc_url=None)
    # Not `include_router`: it works out for each request what a route inherits, half of the time of an answer.
    app.router.routes += rest.router(core).routes + texts.router(core).routes
    _add_page(app)

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", tags=["Operation"])
    async def healthz() -> Any:
        """Whether the process is alive."""
        return {"status": "ok"}

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", tags=["Operation"])
    async def readyz() -> JSONResponse:
        """Whether requests are answered: a version is loaded, and the server is not about to end."""
        ready = core.versions.is_ready and not core.is_ending
        return JSONResponse({"ready": ready, "name": core.versions.name}, 200 if ready else 503)

    @app.get("/metrics", tags=["Operation"])
    async def prometheus() -> Response:
        """Counters and times, in Prometheus' format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"error": error.message}, error.status)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> JSONResponse:
        # As TensorFlow Serving answers what is none of its interface's requests.
        status = 400 if request.url.path.startswith("/v1/") else error.status_code
        message = f"Malformed request: {request.method} {request.url.path[:200]}"
        return JSONResponse({"error": message}, status, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"Internal error: {type(error).__name__}."}, 500)

    app.add_middleware(Gate, core=core, metrics=metrics, api_key=api_key)
    return app


def _add_page(app: FastAPI) -> None:
    """A route for each file of the page, read once: no path of a request reaches the file system."""
    for file in _PAGE.rglob("*"):
        if not file.is_file():
            continue
        path = file.relative_to(_PAGE).as_posix()
        media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"

        answer = Response(file.read_bytes(), media_type=media_type, headers={"Cache-Control": "no-cache"})
        # A response is an application, too: one that always answers itself.
        app.add_route("/" if path == "index.html" else f"/{path}", answer, methods=["GET"])  # type: ignore[arg-type]
