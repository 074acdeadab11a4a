"""Beyond TensorFlow Serving's interface: texts as they are written, sessions, what the network does at each place."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncGenerator, Callable
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from components.served.engine import Text
from components.served.request import TextRequest
from components.server.body import describe, read_as
from components.server.core import Core
from components.server.dynamics import dynamics_of
from components.server.errors import RequestError, invalid
from components.server.rest import Answer, version_number
from components.server.sessions import Session
from components.server.version import LoadedVersion

_LOG = logging.getLogger(__name__)


class Generate(BaseModel):
    """What to write. All but the prompt is optional; `components.served.request.TextRequest` says what it means."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = ""
    max_length: int = Field(200, ge=0, lt=2**31)
    min_length: int = Field(0, ge=0, lt=2**31)
    temperature: float = Field(1.0, ge=0, allow_inf_nan=False)
    top_k: int = Field(0, ge=0, lt=2**31)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="None draws one; same seed, same text.")
    repetition_stop: int = Field(0, ge=0, lt=2**31)
    samples: int = Field(1, ge=1, description="Texts; text i has the seed seed + i.")
    stream: bool = Field(False, description="Server-sent events as the text is written.")
    session: str | None = Field(None, description="Go on where this session's last text was left off.")


class Inspect(BaseModel):
    """A text, to see what the network does at each of its places."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    top: int = Field(5, ge=1, le=50, description="How many of the likeliest next tokens.")


class Dynamics(BaseModel):
    """A text, to see how far back from its end a gradient reaches."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str


def router(core: Core) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["Texts"])

    @routes.post("/v1/models/{name}:generate", openapi_extra=describe(Generate.model_json_schema()))
    @routes.post("/v1/models/{name}/versions/{version}:generate", openapi_extra=describe(Generate.model_json_schema()))
    async def generate(request: Request, name: str, version: str | None = None) -> Response:
        """Writes texts; with `stream`, piece by piece."""
        body = await read_as(Generate, request)
        if not body.stream:
            return JSONResponse(await _generate(core, name, version_number(version), body))
        events = _events(core, name, version_number(version), body)
        # What is refused is refused with its status, before the stream begins.
        first = await anext(events)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(_chain(first, events), media_type="text/event-stream", headers=headers)

    @routes.post("/v1/models/{name}:inspect", openapi_extra=describe(Inspect.model_json_schema()))
    @routes.post("/v1/models/{name}/versions/{version}:inspect", openapi_extra=describe(Inspect.model_json_schema()))
    async def inspect(request: Request, name: str, version: str | None = None) -> Response:
        """The likeliest next tokens and the hidden state, before the first token of a text and after each."""
        body = await read_as(Inspect, request)
        return await look(name, version, body.text, lambda model, text: inspected(model, text, body.top))

    @routes.post("/v1/models/{name}:dynamics", openapi_extra=describe(Dynamics.model_json_schema()))
    @routes.post("/v1/models/{name}/versions/{version}:dynamics", openapi_extra=describe(Dynamics.model_json_schema()))
    async def dynamics(request: Request, name: str, version: str | None = None) -> Response:
        """The eigenvalues of each layer's recurrent kernel, and the norm of a gradient back in time."""
        body = await read_as(Dynamics, request)
        return await look(name, version, body.text, dynamics_of)

    async def look(
        name: str, version: str | None, text: str, answer: Callable[[LoadedVersion, bytes], dict[str, Any]]
    ) -> Response:
        data = _utf8(text)
        core.limits.check_text("text", len(text))
        with _language_model(core, name, version_number(version)) as model:
            core.limits.check_places(await asyncio.to_thread(model.count_tokens, text))
            return await core.in_thread(lambda: Answer(answer(model, data)))

    @routes.post("/v1/models/{name}/sessions", status_code=201)
    @routes.post("/v1/models/{name}/versions/{version}/sessions", status_code=201)
    async def open_session(name: str, version: str | None = None) -> Any:
        """Opens a session: its texts go on from each other, the state stays here."""
        with _language_model(core, name, version_number(version)) as model:
            session = core.sessions.open(model.number)
            return {
                "session": session.id,
                "version": str(model.number),
                "expires_in_seconds": core.limits.session_seconds,
            }

    @routes.delete("/v1/models/{name}/sessions/{session}", status_code=204)
    async def close_session(name: str, session: str) -> None:
        """Closes a session."""
        core.versions.statuses(name)  # is there such a model?
        core.sessions.close(session)

    return routes


@contextlib.contextmanager
def _language_model(core: Core, name: str, number: int | None) -> Any:
    with core.versions.use(name, number) as model:
        if model.writing is None:
            raise invalid(
                f"{name} must be a language model. It has the signatures {', '.join(sorted(model.signatures))}."
            )
        yield model


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise invalid("A text must be Unicode without lone surrogates.") from error


def _requests(core: Core, body: Generate) -> list[TextRequest]:
    core.limits.check_rows(body.samples)
    seed = secrets.randbelow(2**31) if body.seed is None else body.seed
    if seed + body.samples > 2**63:
        raise invalid("seed + samples must be below 2^63.")
    names = ("prompt", "max_length", "min_length", "temperature", "top_k", "top_p", "repetition_stop")
    values = {name: getattr(body, name) for name in names}
    try:
        return [TextRequest(**values, seed=seed + sample) for sample in range(body.samples)]
    except (TypeError, ValueError) as error:
        raise invalid(str(error)) from error


async def _pieces(
    core: Core, name: str, number: int | None, body: Generate, each_turn: bool
) -> AsyncGenerator[tuple[LoadedVersion, int, Text, str, bool], None]:
    """The pieces of all texts of a request; a session's state is kept when its text is done."""
    requests = _requests(core, body)
    session: Session | None = None
    if body.session is not None:
        if body.samples != 1:
            raise invalid("A session must write one text at a time: leave out samples.")
        session = core.sessions.take(body.session)
        if number not in (None, session.version):
            core.sessions.give_back(session, None)
            raise invalid(f"The session must be asked of its own version, {session.version}. Received: {number}.")
        number = session.version
    carry = None
    try:
        with _language_model(core, name, number) as model:
            before = None if session is None else session.carry
            async with contextlib.aclosing(core.stream(model, requests, before, each_turn)) as pieces:
                async for index, text, piece, done in pieces:
                    if done:
                        carry = text.carry
                    yield model, index, text, piece, done
    finally:
        if session is not None:
            core.sessions.give_back(session, carry)


async def _generate(core: Core, name: str, number: int | None, body: Generate) -> dict[str, Any]:
    answers: dict[int, dict[str, Any]] = {}
    async with contextlib.aclosing(_pieces(core, name, number, body, each_turn=False)) as pieces:
        async for model, index, text, _, _ in pieces:
            version, prompt = model.number, text.request.prompt
            continuation = text.data[len(prompt.encode()) :].decode("utf-8", "replace")
            answers[index] = {"text": prompt + continuation, "continuation": continuation, **_account(text)}
    return {"model": name, "version": str(version), "texts": [answers[index] for index in sorted(answers)]}


def _account(text: Text) -> dict[str, Any]:
    return {
        "seed": text.request.seed,
        "prompt_tokens": text.prompt_tokens,
        "tokens": text.tokens,
        "log_prob": text.log_prob,
        "finished": text.finished,
        "repeated": text.repeated,
    }


async def _events(core: Core, name: str, number: int | None, body: Generate) -> AsyncGenerator[str, None]:
    """Server-sent events: `piece` with what is new of a text, `done` with its account, `error`."""
    begun = False
    try:
        async with contextlib.aclosing(_pieces(core, name, number, body, each_turn=True)) as pieces:
            async for model, index, text, piece, done in pieces:
                event = _event("piece", {"index": index, "piece": piece}) if piece else ""
                if done:
                    event += _event("done", {"index": index, "version": str(model.number), **_account(text)})
                if event:
                    begun = True
                    yield event
    except RequestError as error:
        if not begun:
            raise
        yield _event("error", {"error": error.message})
    except Exception as error:
        if not begun:
            raise
        _LOG.exception("a stream failed")
        yield _event("error", {"error": f"Internal error: {type(error).__name__}."})


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def _chain(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    async with contextlib.aclosing(rest):
        yield first
        async for event in rest:
            yield event


def inspected(model: LoadedVersion, text: bytes, top: int) -> dict[str, Any]:
    """What `:inspect` answers.

    Returns:
        tokens: `<end>`, then those of the text.
        top: For each of them, the likeliest next tokens, [token, p], the likeliest first.
        bits: -log2 p of each token, given those before it; null for `<end>`.
        states: h_t of each layer at each place, as bytes -127 … 127 of `scale`, in base64: [places, layers, units].
    """
    assert model.language is not None
    tokenizer = model.language.tokenizer
    outputs = model.call("inspect", {"text": np.asarray([text], object)})
    ids = [tokenizer.end, *tokenizer.encode(text.decode("utf-8")).tolist()]
    log_probs = outputs["log_probs"][0]  # [places, vocabulary]
    names = tokenizer.tokens
    order = np.argsort(-log_probs, axis=1, kind="stable")[:, :top]
    p = np.round(np.exp(np.take_along_axis(log_probs, order, axis=1).astype(float)), 4)
    bits = -log_probs[np.arange(len(ids) - 1), ids[1:]] / np.log(2)
    states = outputs["states"][0]
    scale = max(float(np.abs(states).max()), 1e-9)
    quantised = np.round(states / scale * 127).astype(np.int8)
    return {
        "version": str(model.number),
        "tokens": [names[token] for token in ids],
        # Tuples: of lists, the garbage collector would look at each again and again, and nobody be answered meanwhile.
        "top": [
            [(names[token], value) for token, value in zip(best, values, strict=True)]
            for best, values in zip(order.tolist(), p.tolist(), strict=True)
        ],
        "bits": [None, *np.round(bits.astype(float), 3).tolist()],
        "states": {"shape": list(states.shape), "scale": scale, "b64": base64.b64encode(quantised.tobytes()).decode()},
    }
