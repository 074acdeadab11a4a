"""The body of a request as JSON, whatever it is."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

from components.server.errors import invalid


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object in the body. Its size is bounded before (`middleware`).

    Raises:
        RequestError: It is none.
    """
    raw = await request.body()
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        # Not the text itself: it may be a prompt.
        raise invalid(f"JSON Parse error: {_where(error)}") from error
    if not isinstance(body, dict):
        raise invalid(f"Request body must be a JSON object. Received: {type(body).__name__}.")
    return body


def _where(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at byte {error.pos}."
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}."
    return "nested too deeply." if isinstance(error, RecursionError) else "a number of too many digits."
