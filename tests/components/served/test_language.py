"""A served language model as arrays in, arrays out."""

from types import SimpleNamespace

import numpy as np
import pytest

from components.served.folder import load_signatures
from components.served.language import ServedLanguageModel
from pipeline.errors import UsageError
from tests.components.exporter import exported
from tests.components.exporter.exported import UNITS
from tests.components.exporter.reference import read


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("compiled", [False, True])
def test_read_equals_the_network(full, compiled):
    model = ServedLanguageModel(full.saved_model, compiled)
    ids, count = [[4, 3, 5, 6], [7, 8, 3, 5]], [4, 2]  # what is behind does not count
    states = {f"state_{i}": np.zeros((2, UNITS)) for i in range(2)}

    outputs = model.read(token=[full.tokenizer.end] * 2, ids=ids, count=count, **states)

    assert outputs["token"].tolist() == [6, 8]
    for row in range(2):
        _, expected = read(full, [full.tokenizer.end, *ids[row][: count[row] - 1]])
        for layer in range(2):
            np.testing.assert_allclose(outputs[f"state_{layer}"][row], expected[layer][0], atol=1e-5)
    assert np.abs(outputs["state_0"][0] - outputs["state_0"][1]).max() > 1e-2  # guard


def test_model_knows_its_tokenizer_and_zero_states(full):
    model = ServedLanguageModel(full.saved_model, compiled=False)

    assert model.tokenizer == full.tokenizer
    assert {name: state.tolist() for name, state in model.state.items()} == {
        "state_0": [0.0] * UNITS,
        "state_1": [0.0] * UNITS,
    }
    assert model.longest_period == 32


def test_model_of_an_older_version_is_refused(full):
    signatures = load_signatures(full.saved_model)
    older = {name: signatures[name] for name in ("initial_state", "read", "write")}
    assert ServedLanguageModel(full.saved_model, signatures=older)  # guard
    inputs = {name: spec for name, spec in older["read"].inputs.items() if name != "count"}
    with pytest.raises(UsageError, match="without the input 'count' of the signature 'read'"):
        ServedLanguageModel(full.saved_model, signatures={**older, "read": SimpleNamespace(inputs=inputs)})


def test_model_of_a_folder_without_one_raises(tmp_path):
    with pytest.raises(UsageError, match="--model"):
        ServedLanguageModel(tmp_path)
