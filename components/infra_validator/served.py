"""Asks a served model what was asked of it in process: through this project's server, and TensorFlow Serving."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.child_process import last_lines, on_tensorflow
from components.infra_validator.answers import differences

# Its executable; TensorFlow Serving's releases and container images have it under this name.
BINARY = "tensorflow_model_server"
_NAME = "model"
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10

_Command = tuple[list[str], dict[str, str]]  # line and environment


def binary() -> str | None:
    """Where TensorFlow Serving is; None where it is not on the PATH."""
    return shutil.which(BINARY)


def wrong_served(saved_model: Path, cases: Sequence[dict[str, Any]], timeout: float) -> list[str]:
    """A sentence for each answer over HTTP that is not the one in process, or for what went wrong instead.

    Args:
        saved_model: Its folder.
        cases: {"signature", "inputs", "outputs"} each.
        timeout: Seconds that a server has to load the model and to answer.
    """
    reasons = []
    servers: list[tuple[str, Callable[[Path, int, int], _Command]]] = [("the local server", _local)]
    if binary() is not None:
        servers.append(("TensorFlow Serving", _tensorflow_serving))
    for who, start in servers:
        try:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "1").symlink_to(saved_model.resolve())
                with _running(start, Path(folder), timeout) as port:
                    for case in cases:
                        answer = _predict(port, case, timeout)
                        found = differences(answer, case["outputs"], case["signature"], "the model in process")
                        reasons += [f"Through {who}: {reason}" for reason in found]
        except (OSError, ValueError, RuntimeError, http.client.HTTPException) as error:
            reasons.append(f"Through {who}: {type(error).__name__}: {error}")
    return reasons


def _local(folder: Path, port: int, grpc_port: int) -> _Command:
    return on_tensorflow("components.infra_validator.local_server", str(folder), _NAME, str(port), str(grpc_port))


def _tensorflow_serving(folder: Path, port: int, grpc_port: int) -> _Command:
    flags = [f"--rest_api_port={port}", f"--port={grpc_port}", f"--model_name={_NAME}", f"--model_base_path={folder}"]
    return [str(binary()), *flags], dict(os.environ)


@contextlib.contextmanager
def _running(start: Callable[[Path, int, int], _Command], folder: Path, timeout: float) -> Iterator[int]:
    """A server's HTTP port, once it has loaded the model."""
    port, grpc_port = _free_ports()
    line, environment = start(folder, port, grpc_port)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            line, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            end = time.monotonic() + timeout
            while not _is_available(port, timeout):
                if process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"it ended with exit code {process.returncode}:\n{last_lines(log.read())}")
                if time.monotonic() > end:
                    raise TimeoutError(f"the model was not loaded within {timeout:g} seconds")
                time.sleep(_POLL_SECONDS)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_ports() -> tuple[int, int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        first, second = (each.getsockname()[1] for each in sockets)
    return first, second


def _is_available(port: int, timeout: float) -> bool:
    try:
        status, answer = _ask(port, "GET", f"/v1/models/{_NAME}", None, timeout)
    except (ConnectionError, ValueError, http.client.HTTPException):
        return False  # it does not listen yet
    states = answer.get("model_version_status", []) if status == http.HTTPStatus.OK else []
    return any(version.get("state") == "AVAILABLE" for version in states)


def _predict(port: int, case: dict[str, Any], timeout: float) -> dict[str, Any]:
    body = {"signature_name": case["signature"], "inputs": case["inputs"]}
    status, answer = _ask(port, "POST", f"/v1/models/{_NAME}:predict", body, timeout)
    if status != http.HTTPStatus.OK or "outputs" not in answer:
        raise RuntimeError(f"{case['signature']} was answered with status {status}: {answer}")
    # A single output comes without its name.
    outputs = answer["outputs"]
    return outputs if isinstance(outputs, dict) else dict.fromkeys(case["outputs"], outputs)


def _ask(port: int, method: str, path: str, body: Any, timeout: float) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    with contextlib.closing(connection):
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
