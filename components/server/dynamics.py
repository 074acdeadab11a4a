"""What a network's recurrent kernels do to a state, and to a gradient on its way back through a text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from components.server.version import LoadedVersion
from components.trainer.diagnostics.spectrum import Spectrum, spectrum

_KERNEL = re.compile(r"(?:^|/)recurrent_(\d+)/.*recurrent_kernel:0$")
# Steps that a gradient is followed back; a plot shows no more, and each costs units² operations a layer.
LONGEST = 2000

# activation'(a) as a function of h = activation(a): a served model tells its states, not what is under the activation.
DERIVATIVES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": np.ones_like,
    "tanh": lambda h: 1 - h**2,
    "sigmoid": lambda h: h * (1 - h),
    "relu": lambda h: np.where(h > 0, 1.0, 0.0),
}


@dataclass(frozen=True)
class Network:
    """What stays the same whatever the text.

    Attributes:
        activation: Its name; None if the SavedModel does not say.
        kernels: W of each layer, [units, units].
        spectra: Of each W.
    """

    activation: str | None
    kernels: list[np.ndarray]
    spectra: list[Spectrum]


# The eigenvalues of a version are computed once, and forgotten with it.
_networks: WeakKeyDictionary[LoadedVersion, Network] = WeakKeyDictionary()


def network_of(version: LoadedVersion) -> Network:
    """The recurrent part of a served language model."""
    if version not in _networks:
        kernels = recurrent_kernels(version)
        _networks[version] = Network(_activation(version.folder), kernels, [spectrum(kernel) for kernel in kernels])
    return _networks[version]


def recurrent_kernels(version: LoadedVersion) -> list[np.ndarray]:
    """W of each layer, the first layer first."""
    found = {}
    for name, variable in version.signature("step").variables.items():
        match = _KERNEL.search(name)
        if match:
            found[int(match[1])] = np.asarray(variable.numpy())
    return [found[layer] for layer in sorted(found)]


def _activation(folder: Path) -> str | None:
    file = folder / "assets" / "model.json"
    return json.loads(file.read_text("utf-8"))["activation"] if file.is_file() else None


def unit_vector(units: int) -> np.ndarray:
    """The gradient that is followed: of length 1, in a direction that has nothing to do with the network."""
    vector = np.random.default_rng(0).normal(size=units)
    return vector / np.linalg.norm(vector)


def gradient_flow(kernel: np.ndarray, derivatives: np.ndarray) -> list[float | None]:
    """Follows a gradient back in time along one layer's own recurrence.

        v_{t-1} = (v_t ∘ activation'(a_t)) Wᵀ,    v_T a fixed unit vector,    so that v_t = v_T ∂h_T/∂h_t

    Args:
        kernel: W, [units, units].
        derivatives: activation'(a_t), [timesteps, units].

    Returns:
        log10 ‖v_t‖ for t = T, T - 1, …: timesteps + 1 numbers, the first 0; None from where nothing is left.
    """
    exact = kernel.astype(np.float64)
    vector = unit_vector(len(exact))
    total, norms = 0.0, [0.0]
    for derivative in derivatives[::-1].astype(np.float64):
        vector = (vector * derivative) @ exact.T
        length = float(np.linalg.norm(vector))
        if length == 0 or not math.isfinite(length):
            break
        # Kept at length 1, and its logarithm apart: 0.5^2000 is no float64.
        vector /= length
        total += math.log10(length)
        norms.append(total)
    return [*norms, *[None] * (len(derivatives) + 1 - len(norms))]


def dynamics_of(version: LoadedVersion, text: bytes) -> dict[str, Any]:
    """What `:dynamics` answers.

    Returns:
        activation: Of the layers, null if the SavedModel does not say.
        layers: For each `eigenvalues` of W as [re, im], the largest modulus first, `spectral_radius`,
            `largest_singular_value` and `flow`: see `gradient_flow`, from the last place of the text back, `LONGEST`
            steps at most; null where the derivative cannot be told from the states.
    """
    network = network_of(version)
    derivative = DERIVATIVES.get(network.activation or "")
    if derivative is None:
        flows: list[Any] = [None] * len(network.kernels)
    else:
        states = version.call("inspect", {"text": np.asarray([text], object)})["states"][0]  # [places, layers, units]
        # Place 0 is `<end>` on a zero state: the gradient goes back to the state after it.
        slopes = derivative(states[1:][-LONGEST:])
        flows = [gradient_flow(kernel, slopes[:, layer]) for layer, kernel in enumerate(network.kernels)]
    return {
        "version": str(version.number),
        "activation": network.activation,
        "layers": [
            {
                "eigenvalues": [[_number(value.real), _number(value.imag)] for value in known.eigenvalues],
                "spectral_radius": _number(known.spectral_radius),
                "largest_singular_value": _number(known.largest_singular_value),
                "flow": None if flow is None else [None if norm is None else round(norm, 4) for norm in flow],
            }
            for known, flow in zip(network.spectra, flows, strict=True)
        ],
    }


def _number(value: float) -> float | None:
    """As JSON, which knows no NaN."""
    return round(float(value), 6) if math.isfinite(value) else None
