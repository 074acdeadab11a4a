"""The body of a request: JSON whatever its content type says, as other clients of TensorFlow Serving send it."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

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


Body = TypeVar("Body", bound=BaseModel)


async def read_as(kind: type[Body], request: Request) -> Body:
    """The body of a request as one of our own kinds.

    Raises:
        RequestError: It is none.
    """
    try:
        return kind.model_validate(await read_json(request))
    except ValidationError as error:
        # Not what was sent: it may be a prompt.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise invalid(f"{where}: {first['msg']}.") from error


def describe(schema: dict[str, Any]) -> dict[str, Any]:
    """For the OpenAPI document: the body is read by hand."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _where(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at byte {error.pos}."
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}."
    return "nested too deeply." if isinstance(error, RecursionError) else "a number of too many digits."
