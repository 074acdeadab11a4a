"""What every model of a task is to the trainer, the evaluator and the exporter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras


class Loss(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: Weighted sum over all that is predicted: nats, or squared errors.
        count: Sum of the weights.
        positions: How many predictions there are room for, those of weight 0 included: what gradients are divided by.
        states: To carry to the next batch, a state [batch, units] for each layer; none where batches are apart.
    """

    total: Any
    count: Any
    positions: int
    states: list[Any]


class TaskModel(keras.Model):
    """A model that knows its own loss.

    Attributes:
        task: Name of its task in the configuration.
        recurrent_layers: Its VanillaRNN layers in which states are carried from batch to batch; none by default.
    """

    task: ClassVar[str]
    recurrent_layers: Sequence[Any] = ()

    def initial_states(self, batch_size: int) -> list[Any]:
        """Zero states: one [batch_size, units] for each of the `recurrent_layers`."""
        return []

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Computes the loss of a batch; traceable.

        Args:
            batch: A tuple of arrays, the same number of rows in each.
            states: What the batch before has carried, a state for each layer; as `initial_states` makes them at first.
            training: Whether dropout is on.
            context: Timesteps at the end that the next batch will read again: the states to carry are those before.
            probes: See `LanguageModel.call`; for models with `recurrent_layers`.
        """
        raise NotImplementedError(f"{type(self).__name__} must override loss_of().")

    def architecture(self) -> dict[str, Any]:
        """Returns the arguments of the constructor that make a model to be used: JSON, and nothing of training."""
        raise NotImplementedError(f"{type(self).__name__} must override architecture().")
