"""What a training step is told besides the model, and what it reports; the parts of it that are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops

from components.tasks.task import TaskModel
from components.trainer import gradients as gradient_functions

# 2^32 divided by the golden ratio: the seeds of replicas, and of layers, which are small numbers, never meet.
_SEEDS_APART = 2_654_435_769


@dataclass(frozen=True)
class Update:
    """How gradients become an update.

    Attributes:
        learning_rate: Step number → scheduled learning rate, traceable.
        clipvalue, clipnorm, global_clipnorm, gradient_noise: See `OptimizerConfig`.
        kick_norm: Norm of the random step that stands in for one that is not finite; None leaves the weights.
        seed: Of the noise and the random steps.
        context: Timesteps at the end of a window that are read again by the next one.
        vanishing_penalty: λ of the regulariser Ω, see `components.trainer.vanishing`; None does without.
    """

    learning_rate: Callable[[Any], Any]
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    gradient_noise: float | None = None
    kick_norm: float | None = None
    seed: int = 0
    context: int = 0
    vanishing_penalty: float | None = None

    def gradients(self, gradients: Sequence[Any], step: Any) -> list[Any]:
        """Clips, then adds noise."""
        clipped = gradient_functions.clip(gradients, self.clipvalue, self.clipnorm, self.global_clipnorm)
        if self.gradient_noise is None:
            return clipped
        return gradient_functions.add_noise(clipped, self.gradient_noise, self.seed, step)

    def kicked(self, weights: Sequence[Any], step: Any) -> list[Any]:
        """The weights after a step that was not finite."""
        if self.kick_norm is None:
            return list(weights)
        # Another seed than the noise's, so that the two are independent.
        direction = gradient_functions.random_direction(weights, self.kick_norm, self.seed ^ 0x5F3759DF, step)
        return [weight + ops.cast(kick, weight.dtype) for weight, kick in zip(weights, direction, strict=True)]


class Sums(NamedTuple):
    """What is added up over the rows of a batch, and so over the devices that share them.

    Attributes:
        loss, count, bad_rows: See `StepResult`.
        gradients: Of loss / (positions of the whole batch that are learnt from), for each trainable variable.
    """

    loss: Any
    count: Any
    bad_rows: Any
    gradients: list[Any]


class StepResult(NamedTuple):
    """Scalars on the device; reading one waits for the step.

    Attributes:
        loss: Weighted sum over all predictions: nats, or squared errors.
        count: Sum of the weights.
        gradient_norm: Norm of all gradients together, before clipping.
        learning_rate: That of the update.
        bad_rows: Rows of the states that came in not finite, and were zeroed.
    """

    loss: Any
    count: Any
    gradient_norm: Any
    learning_rate: Any
    bad_rows: Any


def repair(states: Sequence[Any]) -> tuple[list[Any], Any]:
    """Zeroes, in every layer, the rows of the states in which a number of any layer is not finite.

    Args:
        states: [batch, units] for each layer.

    Returns:
        The states, and how many rows were zeroed.
    """
    if not states:
        return [], ops.zeros((), "float32")
    finite = ops.all(ops.stack([ops.all(ops.isfinite(state), axis=-1) for state in states]), axis=0)  # [batch]
    repaired = [ops.where(finite[:, None], state, ops.zeros_like(state)) for state in states]
    return repaired, ops.sum(ops.cast(ops.logical_not(finite), "float32"))


def kernel_indices(model: TaskModel) -> list[int]:
    """Where the recurrent kernel of each layer is among the model's trainable variables."""
    variables = model.trainable_variables
    return [
        next(i for i, variable in enumerate(variables) if variable is layer.cell.recurrent_kernel)
        for layer in model.recurrent_layers
    ]


def own_generator(state: Any, replica: Any) -> Any:
    """The random generator of a replica, from the model's: another seed, so that no two rows share a dropout mask.

    Args:
        state: [seed, counter], integers.
        replica: Number of the replica, from 0, which keeps the model's; may be traced.
    """
    step = ops.convert_to_tensor([_SEEDS_APART, 0], dtype=state.dtype)
    return state + ops.cast(replica, state.dtype) * step
