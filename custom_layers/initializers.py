"""Initialisers of the recurrent kernel beside Keras' own: what W's powers do decides how far gradients reach."""

from typing import Any

import keras
import numpy as np

from . import checks


@keras.saving.register_keras_serializable("custom_layers")
class SpectralRadius(keras.initializers.Initializer):
    """Draw a square matrix from a normal distribution and scale it to a given spectral radius.

        W = radius · G / max_i |λ_i(G)|,   G_ij ~ N(0, 1)

    so that ‖Wᵗ‖ shrinks like radiusᵗ below 1 and grows like it above. Its companions need no class: `"orthogonal"`
    (VanillaRNN's default: every |λ_i| = 1) and, for the IRNN of relu units, `"identity"` or
    `keras.initializers.Identity(gain)`.

    Args:
        radius: largest modulus of an eigenvalue, a positive number.
        seed: seed of the draw; None draws anew each time.

    Raises:
        TypeError: `radius` is no number.
        ValueError: `radius` is not positive; the shape asked for is not square.

    Example:
        >>> W = np.asarray(SpectralRadius(1.1, seed=0)((4, 4)))
        >>> round(float(np.abs(np.linalg.eigvals(W)).max()), 4)
        1.1

    Source:
        Jaeger (2001), The "echo state" approach to analysing and training recurrent neural networks; Sutskever et al.
        (2013), On the importance of initialization and momentum in deep learning, section 3.1 (1.1 for tanh units);
        Le, Jaitly and Hinton (2015), A Simple Way to Initialize Recurrent Networks of Rectified Linear Units.
    """

    def __init__(self, radius: float = 1.0, seed: int | None = None) -> None:
        text = checks.refusal("SpectralRadius", "radius", "be a positive number", "radius", radius, "Pass 1.0, say")
        if isinstance(radius, bool) or not hasattr(radius, "__float__"):
            raise TypeError(text)
        if not 0 < float(radius) < float("inf"):
            raise ValueError(text)
        self.radius = float(radius)
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """Return the matrix `[units, units]`."""
        if len(shape) != 2 or shape[0] != shape[1]:
            fix = "Use it as recurrent_initializer"
            raise ValueError(
                checks.refusal("SpectralRadius", "the shape", "be square, [units, units]", "shape", shape, fix)
            )
        drawn = keras.ops.convert_to_numpy(keras.random.normal(shape, dtype="float32", seed=self.seed)).astype(
            "float64"
        )
        scaled = drawn * (self.radius / np.abs(np.linalg.eigvals(drawn)).max())  # [units, units]
        return keras.ops.convert_to_tensor(scaled, dtype=dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument."""
        return {"radius": self.radius, "seed": self.seed}
