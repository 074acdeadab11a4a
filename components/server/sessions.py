"""Sessions: where a text was left off, kept under an id that cannot be guessed, for a while and not too many."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

from components.served.language import Arrays
from components.server.errors import busy, conflict, not_found


@dataclasses.dataclass
class Session:
    """Where a text was left off.

    Attributes:
        id: For the client.
        version: Of the model that wrote it: a state means nothing to another one.
        carry: None before the first request.
        used: When, on a clock that only goes forward.
        is_busy: A request of it is being answered.
    """

    id: str
    version: int
    carry: Arrays | None
    used: float
    is_busy: bool = False


class Sessions:
    """All open sessions.

    Args:
        limit: How many at once.
        seconds: One that is not used is closed after.
        clock: Seconds.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._open: OrderedDict[str, Session] = OrderedDict()  # the one that was not used for longest first

    def __len__(self) -> int:
        self._expire()
        return len(self._open)

    def open(self, version: int) -> Session:
        """Opens one.

        Raises:
            RequestError: There are as many as there may be.
        """
        self._expire()
        if len(self._open) >= self._limit:
            raise busy(f"There are {self._limit} sessions, as many as there may be. Close one, or try again later.")
        session = Session(secrets.token_urlsafe(24), version, None, self._clock())
        self._open[session.id] = session
        return session

    def take(self, id: str) -> Session:
        """The session of an id, for one request; `give_back` when it is answered.

        Raises:
            RequestError: It is not known or closed, or another request has it.
        """
        self._expire()
        session = self._open.get(id)
        if session is None:
            raise not_found("The session is not known, or was closed because nobody used it.")
        if session.is_busy:
            raise conflict("The session is answering another request: wait for that one.")
        session.is_busy = True
        return session

    def give_back(self, session: Session, carry: Arrays | None) -> None:
        """Ends a request of a session; `carry` is where its text was left off, None where it was before."""
        session.is_busy = False
        session.used = self._clock()
        if carry is not None:
            session.carry = carry
        if session.id in self._open:
            self._open.move_to_end(session.id)

    def close(self, id: str) -> None:
        """Closes one.

        Raises:
            RequestError: It is not known.
        """
        self._expire()
        if self._open.pop(id, None) is None:
            raise not_found("The session is not known, or was closed because nobody used it.")

    def _expire(self) -> None:
        oldest = self._clock() - self._seconds
        for session in list(self._open.values()):
            if session.used > oldest:
                return
            if not session.is_busy:
                del self._open[session.id]
