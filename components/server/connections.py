"""HTTP connections: how many there may be, and how long one may stay without a request."""

from __future__ import annotations

import asyncio
import functools
import resource
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

# Connections that wait to be taken; the loop takes all of them before it looks at one.
BACKLOG = 128
_WAIT_SECONDS = 10.0
_OWN_FILES = 128  # of the process: the log, the models, threads of libraries
_MOST = 4096


def most_connections() -> int:
    """How many connections each protocol may have, so that files are left for the rest: raises the limit if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST + BACKLOG + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(1, min(_MOST, (soft - BACKLOG - _OWN_FILES) // 2))


class Connection(H11Protocol):
    """A connection of uvicorn's, closed if there are too many, or if no request comes on it.

    Uvicorn waits without end for the rest of a request's header, and bounds requests but not connections.

    Args:
        most: Connections at once; a further one is closed as it comes.
        seconds: From its first byte, or from the opening of the connection, to the end of a request's header.
        options: What uvicorn itself hands over.
    """

    def __init__(self, *, most: int, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self._most = most
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Counts the seconds while no request is answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(self._seconds, self._close)

    def _close(self) -> None:
        self._timer = None
        # What came last may have been a whole request, answered meanwhile.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def web_config(app: Any, most: int, seconds: float = _WAIT_SECONDS, **options: Any) -> uvicorn.Config:
    """How uvicorn serves an application here."""
    protocol: Any = functools.partial(Connection, most=most, seconds=seconds)
    return uvicorn.Config(
        app,
        http=protocol,
        backlog=BACKLOG,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        **options,
    )
