"""What a request may ask for, and how many at once."""

from __future__ import annotations

import dataclasses

from components.server.errors import invalid


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of what one request, and all together, can cost.

    Attributes:
        body_bytes: Of a request; more is 413.
        prompt_length: Characters of a prompt or text.
        max_length: Tokens to write in answer to one request, for each text.
        rows: Texts of one request.
        concurrent: Requests at once; more are 429.
        seconds: A request may take; more is 503.
        sessions: Open at once; more are 429.
        session_seconds: A session that is not used is closed after.
    """

    body_bytes: int = 4 * 2**20
    prompt_length: int = 100_000
    max_length: int = 100_000
    rows: int = 256
    concurrent: int = 512
    seconds: float = 60.0
    sessions: int = 1000
    session_seconds: float = 600.0

    def check_rows(self, rows: int) -> None:
        if rows > self.rows:
            raise invalid(f"A request must hold at most {self.rows} rows. Received: {rows}. Send several requests.")

    def check_text(self, name: str, length: int) -> None:
        if length > self.prompt_length:
            raise invalid(f"{name} must have at most {self.prompt_length} characters. Received: {length}.")

    def check_max_length(self, value: int) -> None:
        if value > self.max_length:
            raise invalid(f"max_length must be at most {self.max_length} here. Received: max_length={value}.")
