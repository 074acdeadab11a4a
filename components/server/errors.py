"""What goes wrong with a request: a code that both protocols know, and a message for people."""

from __future__ import annotations

import grpc

# TensorFlow Serving's HTTP status of each gRPC code. A request that took too long is 503, as one that cannot be taken.
HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 413,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.DEADLINE_EXCEEDED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
}


class RequestError(Exception):
    """A request that is refused.

    Args:
        code: Says of what kind.
        message: What must be how, and what was received.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """The HTTP status."""
        return HTTP_STATUS[self.code]


def invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.NOT_FOUND, message)


def conflict(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.ABORTED, message)


def busy(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)


def unavailable(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.UNAVAILABLE, message)


def too_late(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, message)
