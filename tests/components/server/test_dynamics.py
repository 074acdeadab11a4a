"""Eigenvalues and gradients back in time: against powers of W, determinants, and numeric derivatives in float64."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from components.served.folder import load_signatures
from components.server.dynamics import DERIVATIVES, LONGEST, dynamics_of, gradient_flow, network_of, unit_vector
from tests.components.exporter import exported
from tests.testing import forward

ACTIVATIONS = {
    "linear": lambda a: a,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
}
EPSILON = 1e-6


@dataclass(eq=False)
class Loaded:
    """As a `LoadedVersion`, without the thread that writes."""

    folder: Path
    number: int = 3
    signatures: dict[str, Any] = field(default_factory=dict)

    def signature(self, name):
        return self.signatures[name]

    def call(self, name, inputs):
        return {key: value.numpy() for key, value in self.signatures[name](**_constants(inputs)).items()}


def _constants(inputs):
    import tensorflow as tf

    return {name: tf.constant([bytes(text) for text in value]) for name, value in inputs.items()}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def version(full):
    return Loaded(full.saved_model, signatures=load_signatures(full.saved_model))


def recurrent_kernels(model):
    return [weight for variable, weight in zip(model.weights, model.get_weights(), strict=True)
            if variable.name == "recurrent_kernel"]  # fmt: skip


def norms_by_differences(run, states):
    """‖d (v · run(h_t)) / dh_t‖ for the last t first; `run(t, h)` is h_T with h_t replaced by h."""
    vector = unit_vector(len(states[0]))
    norms = []
    for t in reversed(range(len(states))):
        steps = EPSILON * np.eye(len(vector))
        slopes = [vector @ (run(t, states[t] + step) - run(t, states[t] - step)) / (2 * EPSILON) for step in steps]
        norms.append(np.linalg.norm(slopes))
    return norms


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_flow_equals_numeric_derivatives(name):
    random = np.random.default_rng(4)
    kernel, inputs = random.normal(size=(5, 5), scale=0.6), random.normal(size=(9, 5))
    activation = ACTIVATIONS[name]

    def run(t, state):
        for x in inputs[t:]:
            state = activation(x + state @ kernel)
        return state

    states = [random.uniform(0.1, 0.9, 5)]
    for x in inputs:
        states.append(activation(x + states[-1] @ kernel))
    expected = norms_by_differences(run, states)
    flow = gradient_flow(kernel, DERIVATIVES[name](np.asarray(states[1:])))

    np.testing.assert_allclose(10 ** np.asarray(flow, float), expected, rtol=1e-5)
    transposed = gradient_flow(kernel.T, DERIVATIVES[name](np.asarray(states[1:])))
    assert abs(10 ** transposed[-1] / expected[-1] - 1) > 0.01  # the direction of W matters: the test can fail


def test_gradient_flow_beyond_the_smallest_number_goes_on():
    flow = gradient_flow(0.5 * np.eye(3), np.ones((2000, 3)))
    assert 0.5**2000 == 0
    np.testing.assert_allclose(flow, np.arange(2001) * np.log10(0.5))


def test_gradient_flow_where_nothing_is_left_ends():
    derivatives = np.ones((4, 3))
    derivatives[1] = 0
    assert gradient_flow(2 * np.eye(3), derivatives) == pytest.approx([0, np.log10(2), np.log10(4), None, None])


def test_gradient_flow_without_a_step_is_the_vector_itself():
    assert gradient_flow(np.eye(3), np.ones((0, 3))) == [0]


def test_dynamics_eigenvalues_are_those_of_the_trained_kernels(version, full):
    layers = dynamics_of(version, b"ab")["layers"]
    kernels = recurrent_kernels(full.model)
    assert len(layers) == len(kernels) == 2
    for layer, kernel in zip(layers, kernels, strict=True):
        eigenvalues = [complex(*pair) for pair in layer["eigenvalues"]]
        exact = kernel.astype(np.float64)
        assert len(eigenvalues) == exported.UNITS
        for value in eigenvalues:
            smallest = np.linalg.svd(exact - value * np.eye(len(exact)), compute_uv=False)[-1]
            assert smallest == pytest.approx(0, abs=1e-5)
        assert sum(eigenvalues) == pytest.approx(np.trace(exact), abs=1e-5)
        growth = np.linalg.norm(np.linalg.matrix_power(exact, 200)) ** (1 / 200)
        assert layer["spectral_radius"] == pytest.approx(growth, rel=0.03)
        assert layer["largest_singular_value"] == pytest.approx(np.linalg.norm(exact, 2), rel=1e-5)
    assert layers[0]["spectral_radius"] != pytest.approx(layers[1]["spectral_radius"], rel=0.01)


def test_dynamics_flow_equals_numeric_derivatives_of_the_model(version, full):
    text = "abcé\nb🙂"
    answer = dynamics_of(version, text.encode())
    weights = full.model.get_weights()
    ids = np.asarray([full.tokenizer.end, *full.tokenizer.encode(text)])[None]
    zeros = [np.zeros((1, exported.UNITS))] * 2
    after = [forward(weights, ids[:, : place + 1], zeros)[1] for place in range(ids.shape[1])]

    for layer in range(2):

        def run(place, state, layer=layer):
            states = [state[None] if i == layer else h for i, h in enumerate(after[place])]
            return forward(weights, ids[:, place + 1 :], states)[1][layer][0] if place + 1 < ids.shape[1] else state

        expected = norms_by_differences(run, [states[layer][0] for states in after])
        np.testing.assert_allclose(answer["layers"][layer]["flow"], np.log10(expected), atol=2e-3)
    assert (answer["version"], answer["activation"]) == ("3", "tanh")


def test_dynamics_of_a_long_text_follow_its_end(version):
    flow = dynamics_of(version, b"ab" * LONGEST)["layers"][0]["flow"]
    assert len(flow) == LONGEST + 1


def test_dynamics_without_the_architecture_have_eigenvalues_only(version, tmp_path):
    answer = dynamics_of(Loaded(tmp_path, signatures=version.signatures), b"ab")
    assert answer["activation"] is None
    assert [layer["flow"] for layer in answer["layers"]] == [None, None]
    assert len(answer["layers"][1]["eigenvalues"]) == exported.UNITS


def test_dynamics_are_json(version):
    for text in (b"", b"abc"):
        assert json.loads(json.dumps(dynamics_of(version, text), allow_nan=False))["layers"][0]["flow"][0] == 0


def test_network_is_computed_once_a_version(version):
    assert network_of(version) is network_of(version)
    assert network_of(Loaded(version.folder, signatures=version.signatures)) is not network_of(version)
