"""What a training step reports."""

from __future__ import annotations

from typing import Any, NamedTuple


class StepResult(NamedTuple):
    """Scalars on the device; reading one waits for the step.

    Attributes:
        nats: Sum of the weighted negative log-likelihoods.
        tokens: Sum of the weights.
        gradient_norm: Norm of all gradients together, before clipping.
    """

    nats: Any
    tokens: Any
    gradient_norm: Any
