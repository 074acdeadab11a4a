"""What a training needs of its data besides steps: how the model is judged on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from components.trainer.steps import Steps


class Objective(Protocol):
    """Judges a model while it is trained.

    Attributes:
        goal: The metric of an evaluation that the best weights have the lowest of.
        measure: Measures how far gradients reach and the like, see `diagnostics.measure`; None where that says nothing.
    """

    goal: str

    @property
    def measure(self) -> Callable[[], dict[str, Any]] | None: ...

    def figures(self, loss: float) -> dict[str, float]:
        """Names what the mean loss of some steps is: what is recorded and shown, in order of importance."""

    def evaluate(self) -> Mapping[str, float]:
        """Measures the model on the eval split."""

    def describe(self, metrics: Mapping[str, float]) -> str:
        """Says in a few words what `evaluate` found."""

    def sample(self, epoch: int) -> str:
        """Shows, as text, what the model does; another sample each epoch."""


class Data(Protocol):
    """What is trained and evaluated on.

    Attributes:
        train: Steps over the train split.
    """

    @property
    def train(self) -> Steps: ...

    def objective(self, model: Any) -> Objective:
        """Judges `model` on this data."""
