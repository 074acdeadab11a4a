"""What is done to gradients between back-propagation and the optimizer: norms, clipping, noise, random directions.

Pure functions in keras.ops, for use inside the compiled step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from components.sampling import random_normal

# Neelakantan et al. (2015): σ_t² = η / (1 + t)^γ.
_NOISE_DECAY = 0.55


def global_norm(gradients: Sequence[Any]) -> Any:
    """The Euclidean norm of all gradients together; not finite exactly where one of them is not, or overflows."""
    return ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))


def clip(
    gradients: Sequence[Any],
    clipvalue: float | None = None,
    clipnorm: float | None = None,
    global_clipnorm: float | None = None,
) -> list[Any]:
    """Applies the bounds that are given, in the order of the arguments.

    Each element to [-clipvalue, clipvalue]; then each variable's gradient g to g · min(1, clipnorm / ‖g‖); then all of
    them to g · min(1, global_clipnorm / ‖all‖).

    Source: Mikolov (2012), by value; Pascanu, Mikolov and Bengio (2013), algorithm 1, by norm.
    """
    clipped = list(gradients)
    if clipvalue is not None:
        clipped = [ops.clip(gradient, -clipvalue, clipvalue) for gradient in clipped]
    if clipnorm is not None:
        clipped = [gradient * _shrinking(global_norm([gradient]), clipnorm) for gradient in clipped]
    if global_clipnorm is not None:
        factor = _shrinking(global_norm(clipped), global_clipnorm)
        clipped = [gradient * factor for gradient in clipped]
    return clipped


def _shrinking(norm: Any, bound: float) -> Any:
    """min(1, bound / norm), 1 at norm 0."""
    return bound / ops.maximum(norm, bound)


def add_noise(gradients: Sequence[Any], eta: float, seed: int, step: Any) -> list[Any]:
    """Adds normal noise of variance eta / (1 + step)^0.55, decided by seed and step alone.

    Source: Neelakantan et al. (2015), Adding Gradient Noise Improves Learning for Very Deep Networks, equation 1.
    """
    deviation = ops.sqrt(eta / (1.0 + ops.cast(step, "float32")) ** _NOISE_DECAY)
    noises = _normal(gradients, seed, step)
    return [gradient + deviation * noise for gradient, noise in zip(gradients, noises, strict=True)]


def random_direction(variables: Sequence[Any], norm: float, seed: int, step: Any) -> list[Any]:
    """A random direction in the space of all variables together, of a given length, decided by seed and step alone.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 10.11.1.
    """
    directions = _normal(variables, seed, step)
    factor = norm / global_norm(directions)
    return [direction * factor for direction in directions]


def _normal(like: Sequence[Any], seed: int, step: Any) -> list[Any]:
    step = ops.cast(step, "uint32")
    return [random_normal(variable.shape, seed, step, stream) for stream, variable in enumerate(like)]
