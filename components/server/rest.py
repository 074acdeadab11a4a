"""TensorFlow Serving's REST interface: status, metadata and `:predict`."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from fastapi import APIRouter, Request, Response
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import get_model_metadata_pb2

from components.server.body import describe, read_json
from components.server.core import Core
from components.server.errors import invalid
from components.server.tensors import from_json, to_json
from components.server.version import LoadedVersion

_PREDICT_BODY = describe(
    {
        "type": "object",
        "properties": {
            "signature_name": {"type": "string"},
            "instances": {"type": "array", "items": {}, "minItems": 1},
            "inputs": {},
        },
        "example": {"instances": [{"prompt": "ROMEO:"}]},
    }
)

NO_LABELS = "Labels of versions are not supported. Give a version number, or none for the newest."


class Answer(Response):
    """JSON in which numbers may be NaN and Infinity, as TensorFlow Serving writes them."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        # `dump`, not `dumps`: piece by piece, so that other threads come in between. What is long is made in a thread.
        written = io.StringIO()
        json.dump(content, written, ensure_ascii=False, separators=(",", ":"))
        return written.getvalue().encode("utf-8")


def router(core: Core) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["TensorFlow Serving"])

    @routes.get("/v1/models/{name}")
    @routes.get("/v1/models/{name}/versions/{version}")
    async def status(name: str, version: str | None = None) -> Any:
        """State of the versions of a model."""
        return {
            "model_version_status": [
                {
                    "version": str(found.number),
                    "state": found.state,
                    "status": {
                        "error_code": "UNKNOWN" if found.error else "OK",
                        "error_message": found.error,
                    },
                }
                for found in core.versions.statuses(name, version_number(version))
            ]
        }

    @routes.get("/v1/models/{name}/metadata")
    @routes.get("/v1/models/{name}/versions/{version}/metadata")
    async def metadata(name: str, version: str | None = None) -> Any:
        """The signatures of a version, with the types and shapes of their inputs and outputs."""
        with core.versions.use(name, version_number(version)) as model:
            definitions = MessageToDict(
                signature_definitions(model),
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            return {
                "model_spec": {"name": name, "signature_name": "", "version": str(model.number)},
                "metadata": {"signature_def": definitions},
            }

    @routes.post("/v1/models/{name}:predict", openapi_extra=_PREDICT_BODY)
    @routes.post("/v1/models/{name}/versions/{version}:predict", openapi_extra=_PREDICT_BODY)
    async def predict(request: Request, name: str, version: str | None = None) -> Response:
        """Calls a signature, in row format (`instances`) or in column format (`inputs`)."""
        body = await read_json(request)
        signature = body.get("signature_name", "")
        if not isinstance(signature, str):
            raise invalid("signature_name must be a string.")
        with core.versions.use(name, version_number(version)) as model:
            specs, optional = model.signature(signature).inputs, frozenset(model.defaults(signature))
            inputs, format = await asyncio.to_thread(from_json, body, specs, optional)
            outputs = await core.predict(model, signature, inputs)
            if model.writes(signature):
                return Answer(to_json(outputs, format))
            # Numbers of each place of a text are many.
            core.limits.check_json(sum(value.size for value in outputs.values()))
            return await core.in_thread(lambda: Answer(to_json(outputs, format)))

    @routes.api_route("/v1/models/{name}/labels/{rest:path}", methods=["GET", "POST"], include_in_schema=False)
    async def label(name: str, rest: str) -> None:
        """Refuses labels, with the words that gRPC has for them."""
        raise invalid(NO_LABELS)

    return routes


def version_number(text: str | None) -> int | None:
    """The number of a version in a path.

    Raises:
        RequestError: It is none.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise invalid(f"Failed to convert version: {text[:40]} to numeric.")
    return int(text)


def signature_definitions(model: LoadedVersion) -> Any:
    """All signatures of a version as a SignatureDefMap."""
    found = get_model_metadata_pb2.SignatureDefMap()
    for key, definition in model.metadata.items():
        found.signature_def[key].CopyFrom(definition)
    return found
