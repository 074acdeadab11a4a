"""A server of a tiny model, for all tests of a session, and direct calls of its SavedModel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.heavy_imports import import_quietly
from tests.components.exporter import exported
from tests.components.server.running import Running, running


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> exported.Exported:
    return exported.end_only(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def versions_folder(small: exported.Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With versions 3 and 5, which are the same."""
    folder = tmp_path_factory.mktemp("serving")
    for number in (3, 5):
        (folder / str(number)).symlink_to(small.saved_model)
    return folder


@pytest.fixture(scope="session")
def server(versions_folder: Path) -> Iterator[Running]:
    with running(versions_folder) as found:
        yield found


class Direct:
    """The SavedModel's signatures, called without a server."""

    def __init__(self, folder: Path) -> None:
        self._tf = import_quietly("tensorflow")
        self._model = self._tf.saved_model.load(str(folder))

    def __call__(self, name: str, **inputs: Any) -> dict[str, np.ndarray]:
        signature = self._model.signatures[name]
        specs = signature.structured_input_signature[1]
        tensors = {key: self._tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in signature(**tensors).items()}

    def generate(self, prompts: list[str], **controls: Any) -> dict[str, Any]:
        """With the signature's defaults for what is left out; texts come as strings."""
        defaults = {"max_length": [200], "temperature": [1.0], "top_k": [0], "top_p": [1.0], "seed": [0]}
        found: dict[str, Any] = self("generate", prompt=prompts, **(defaults | controls))
        return found | {"text": [text.decode() for text in found["text"]]}


@pytest.fixture(scope="session")
def direct(small: exported.Exported) -> Direct:
    return Direct(small.saved_model)
