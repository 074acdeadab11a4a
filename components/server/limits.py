"""What a request may ask for, and how many at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from components.server.errors import invalid
from pipeline.errors import UsageError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of what one request, and all together, can cost.

    Attributes:
        body_bytes: Of a request; more is 413.
        prompt_length: Characters of a prompt or text, or timesteps of what is read.
        max_length: Tokens to write in answer to one request, for each text.
        rows: Texts of one request.
        places: Of a request, rows × the tokens of the longest, where it is computed for all places at once.
        json_values: Numbers and texts of an answer in JSON, which takes long to write.
        concurrent: Requests at once; more are 429.
        seconds: A request may take; more is 503.
        sessions: Open at once; more are 429.
        session_seconds: A session that is not used is closed after.
    """

    body_bytes: int = 4 * 2**20
    prompt_length: int = 100_000
    max_length: int = 100_000
    rows: int = 256
    places: int = 10_000
    json_values: int = 1_000_000
    concurrent: int = 512
    seconds: float = 60.0
    sessions: int = 1000
    session_seconds: float = 600.0

    @classmethod
    def parse(cls, settings: Sequence[str]) -> Limits:
        """Limits of which some are set, `NAME=VALUE` each.

        Raises:
            UsageError: There is no such limit, or it cannot be that.
        """
        values: dict[str, float] = {}
        known = {field.name: int if field.type == "int" else float for field in dataclasses.fields(cls)}
        for setting in settings:
            name, _, text = setting.partition("=")
            if name not in known:
                raise UsageError(f"serve: --limit must name one of {', '.join(known)}.{did_you_mean(name, known)}")
            try:
                values[name] = known[name](text)
            except ValueError:
                values[name] = math.nan
            if not 0 < values[name] < math.inf:
                raise UsageError(f"serve: --limit {name} must be a number above 0. Received: {setting}.")
        return cls(**values)  # type: ignore[arg-type]

    def check_rows(self, rows: int) -> None:
        if rows > self.rows:
            raise invalid(f"A request must hold at most {self.rows} rows. Received: {rows}. Send several requests.")

    def check_text(self, name: str, length: int) -> None:
        if length > self.prompt_length:
            raise invalid(f"{name} must be at most {self.prompt_length} long. Received: {length}.")

    def check_places(self, places: int, most: int | None = None) -> None:
        most = self.places if most is None else most
        if places > most:
            raise invalid(
                f"A request must be at {most} places at most, rows × the tokens of the longest. Received: {places}. "
                "Send fewer or shorter rows."
            )

    def check_json(self, values: int) -> None:
        if values > self.json_values:
            raise invalid(
                f"An answer in JSON must have at most {self.json_values} values. Received: {values}. Send fewer or "
                "shorter rows, or ask over gRPC."
            )

    def check_max_length(self, value: int) -> None:
        if value > self.max_length:
            raise invalid(f"max_length must be at most {self.max_length} here. Received: max_length={value}.")
