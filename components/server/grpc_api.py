"""TensorFlow Serving's gRPC services: PredictionService and ModelService."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

import grpc
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from components.server.core import Core
from components.server.errors import RequestError, invalid
from components.server.metrics import Metrics
from components.server.rest import NO_LABELS, signature_definitions
from components.server.tensors import check_names, from_proto

_LOG = logging.getLogger("components.server.requests")
_HANDSHAKE_MS = 10_000
_Request = TypeVar("_Request")


class _Service:
    def __init__(self, core: Core, metrics: Metrics, api_key: str | None) -> None:
        self._core = core
        self._metrics = metrics
        self._api_key = api_key

    async def _answer(self, method: str, context: Any, answer: Callable[[], Awaitable[_Request]]) -> _Request:
        """Answers a request, or ends it with the code and message of what is wrong with it."""
        start, code = time.perf_counter(), grpc.StatusCode.INTERNAL
        try:
            self._check_key(context)
            answered = await answer()
            code = grpc.StatusCode.OK
            return answered
        except RequestError as error:
            code = error.code
            await context.abort(error.code, error.message)
            raise  # not reached: abort raises
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:
            _LOG.exception("request failed")
            await context.abort(code, f"Internal error: {type(error).__name__}.")
            raise
        finally:
            seconds = time.perf_counter() - start
            self._metrics.observe("gRPC", method, code.name, seconds)
            told = {"method": "gRPC", "route": method, "status": code.name, "ms": round(1e3 * seconds, 2)}
            _LOG.info("request", extra={"told": told})

    async def _unimplemented(self, method: str, context: Any) -> Any:
        async def answer() -> Any:
            raise RequestError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here. Call Predict.")

        return await self._answer(method, context, answer)

    def _check_key(self, context: Any) -> None:
        if self._api_key is None:
            return
        sent = dict(context.invocation_metadata() or ()).get("authorization", "")
        if not hmac.compare_digest(str(sent).encode(), b"Bearer " + self._api_key.encode()):
            raise RequestError(grpc.StatusCode.UNAUTHENTICATED, "The metadata `authorization` must be: Bearer KEY.")


class PredictionService(_Service, prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` and `GetModelMetadata`."""

    async def Predict(self, request: Any, context: Any) -> Any:
        async def answer() -> Any:
            spec = request.model_spec
            with self._core.admitted(), self._core.versions.use(spec.name, _version(spec)) as model:
                signature, most = model.signature(spec.signature_name), self._core.limits.body_bytes
                names = _filtered(signature.outputs, request.output_filter)
                check_names(request.inputs, signature.inputs, frozenset(model.defaults(spec.signature_name)))
                inputs = {
                    name: from_proto(name, value, signature.inputs[name], most)
                    for name, value in request.inputs.items()
                }
                outputs = await self._core.predict(model, spec.signature_name, inputs)
                response = predict_pb2.PredictResponse()
                response.model_spec.name = spec.name
                response.model_spec.version.value = model.number
                response.model_spec.signature_name = spec.signature_name or "serving_default"
                for name in names:
                    response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
                return response

        return await self._answer("Predict", context, answer)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        async def answer() -> Any:
            spec = request.model_spec
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid("metadata_field must be signature_def, the one kind of metadata there is.")
            with self._core.versions.use(spec.name, _version(spec)) as model:
                response = get_model_metadata_pb2.GetModelMetadataResponse()
                response.model_spec.name = spec.name
                response.model_spec.version.value = model.number
                packed = any_pb2.Any()
                packed.Pack(signature_definitions(model))
                response.metadata["signature_def"].CopyFrom(packed)
                return response

        return await self._answer("GetModelMetadata", context, answer)

    async def Classify(self, request: Any, context: Any) -> Any:
        return await self._unimplemented("Classify", context)

    async def Regress(self, request: Any, context: Any) -> Any:
        return await self._unimplemented("Regress", context)

    async def MultiInference(self, request: Any, context: Any) -> Any:
        return await self._unimplemented("MultiInference", context)


class ModelService(_Service, model_service_pb2_grpc.ModelServiceServicer):
    """`GetModelStatus`."""

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        async def answer() -> Any:
            spec = request.model_spec
            response = get_model_status_pb2.GetModelStatusResponse()
            for status in self._core.versions.statuses(spec.name, _version(spec)):
                added = response.model_version_status.add()
                added.version = status.number
                added.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
                added.status.error_code = 2 if status.error else 0  # UNKNOWN
                added.status.error_message = status.error
            return response

        return await self._answer("GetModelStatus", context, answer)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        return await self._unimplemented("HandleReloadConfigRequest", context)


def make_server(core: Core, metrics: Metrics, api_key: str | None = None, connections: int = 1000) -> grpc.aio.Server:
    """A gRPC server with both services, in the loop that runs; further connections are closed as they come."""
    size = core.limits.body_bytes
    server = grpc.aio.server(
        maximum_concurrent_rpcs=2 * core.limits.concurrent,
        options=[
            ("grpc.max_receive_message_length", size),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.max_allowed_incoming_connections", connections),
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(core, metrics, api_key), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(core, metrics, api_key), server)
    return server


def _version(spec: Any) -> int | None:
    if spec.WhichOneof("version_choice") == "version_label":
        raise invalid(NO_LABELS)
    return spec.version.value if spec.HasField("version") else None


def _filtered(outputs: Collection[str], names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in outputs:
            raise invalid(f"output tensor alias not found in signature: {name} Outputs: {', '.join(sorted(outputs))}.")
    return list(names) or list(outputs)
