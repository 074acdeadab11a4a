"""Which demonstrations there are. Nothing heavy is imported here: the command line lists them at once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.heavy_imports import import_quietly
from pipeline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from components.lab.demonstration import Demonstration

# Name → what it shows. Each is a module of this package, with its entry in that module's DEMONSTRATIONS.
STANDARD = {
    "scalar": "one weight: above 1 the gradient explodes, below 1 it vanishes",
    "eigen": "the state in W's eigenbasis: each component grows as its eigenvalue's power",
    "cliff": "the error cliff of a one-unit network, and gradient descent with and without clipping",
    "inputs": "the gradient of each state when the loss is at the last step, and at every step",
    "truncation": "which lag can be learnt when gradients are cut after k2 steps: copying and adding",
    "receptive_field": "how far back an RNN and a stack of causal convolutions look",
    "bias": "tanh against sigmoid: mean activation, gradient by lag, learning curves",
    "generalisation": "units against the gap between train and test, on a small real text",
}
# Published experiments that take many minutes: they run only when they are named.
LONG = {
    "adding_50": "the adding problem over 50 timesteps: IRNN against tanh (five minutes)",
    "adding_150": "the adding problem over 150 timesteps: IRNN against tanh (twenty minutes)",
}
_MODULES = {"adding_50": "adding", "adding_150": "adding"}


def check(names: Sequence[str]) -> None:
    """Checks names.

    Raises:
        UsageError: One of them is no demonstration.
    """
    known = [*STANDARD, *LONG]
    for name in names:
        if name not in known:
            raise UsageError(
                f"lab: NAME must be a demonstration. Received: {name!r}.{did_you_mean(name, known)} "
                f"Demonstrations: {', '.join(known)}."
            )


def load(name: str) -> Demonstration:
    """Imports a demonstration."""
    import_quietly("keras")
    module = importlib.import_module(f"components.lab.{_MODULES.get(name, name)}")
    demonstration: Demonstration = module.DEMONSTRATIONS[name]
    return demonstration
