"""The exported models, and a fresh process with nothing but TensorFlow that uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.components.exporter import exported
from tests.saved_model_process import SavedModelProcess, started


class Client:
    """Calls the exported models in a process of its own."""

    def __init__(self, process: SavedModelProcess) -> None:
        self.ask = process.ask

    def call(self, model: exported.Exported, signature: str, **inputs: Any) -> dict[str, Any]:
        return self.ask("call", str(model.saved_model), signature, inputs)

    def generate(self, model: exported.Exported, prompts: list[str], **controls: Any) -> dict[str, Any]:
        """Calls `generate` with the signature's defaults for what is left out; texts come as strings."""
        inputs = {"max_length": [20], "temperature": [1.0], "top_k": [0], "top_p": [1.0], "seed": [0], **controls}
        outputs = self.call(model, "generate", prompt=prompts, **inputs)
        return {**outputs, "text": [text.decode("utf-8") for text in outputs["text"]]}


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with started(tmp_path_factory.mktemp("client")) as process:
        yield Client(process)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def all_options(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.all_options(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def end_only(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.end_only(tmp_path_factory.getbasetemp())
