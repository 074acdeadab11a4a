"""The exported models, and a fresh process with nothing but TensorFlow that uses them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components.exporter import exported


class Client:
    """Calls the functions of `saved_model_server.py` in its process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((name, arguments), self._process.stdin)
        self._process.stdin.flush()
        worked, answer = pickle.load(self._process.stdout)
        assert worked, answer
        return answer

    def call(self, model: exported.Exported, signature: str, **inputs: Any) -> dict[str, Any]:
        return self.ask("call", str(model.saved_model), signature, inputs)

    def generate(self, model: exported.Exported, prompts: list[str], **controls: Any) -> dict[str, Any]:
        """Calls `generate` with the signature's defaults for what is left out; texts come as strings."""
        inputs = {"max_length": [20], "temperature": [1.0], "top_k": [0], "top_p": [1.0], "seed": [0], **controls}
        outputs = self.call(model, "generate", prompt=prompts, **inputs)
        return {**outputs, "text": [text.decode("utf-8") for text in outputs["text"]]}


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A process of its own, outside the project's folder and isolated from its environment."""
    script = Path(__file__).with_name("saved_model_server.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("KERAS_BACKEND", None)
    with subprocess.Popen(
        [sys.executable, "-I", str(script)],
        env=environment,
        cwd=tmp_path_factory.mktemp("client"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield Client(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def all_options(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.all_options(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def end_only(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.end_only(tmp_path_factory.getbasetemp())
