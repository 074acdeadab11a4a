"""Dropout that is drawn anew for each value: what feed-forward connections of a recurrent network need."""

from typing import Any

import keras
import numpy as np
from keras import ops

from . import checks
from .random_bits import random_bits


@keras.saving.register_keras_serializable("custom_layers")
class Dropout(keras.layers.Layer):
    """Drop values, and scale up the others, while training.

        y = x ∘ m / (1 - rate),   m_i = 1 with probability 1 - rate, else 0

    As `keras.layers.Dropout`, with masks from a counter-based generator: the same on TensorFlow, with and without XLA,
    and on JAX. Under XLA on a CPU, TensorFlow's own generator takes thirty times as long (docs/decisions.md).

    Args:
        rate: share that is dropped, in [0, 1).
        seed: of the masks; None draws one.

    Call arguments:
        inputs: float, of any static shape.
        training: whether anything is dropped.

    Raises:
        TypeError, ValueError: `rate` is no number, or outside [0, 1).

    Example:
        >>> import numpy as np
        >>> layer = Dropout(0.5, seed=1)
        >>> sorted(set(np.asarray(layer(np.ones((4, 8), "float32"), training=True)).ravel().tolist()))
        [0.0, 2.0]

    Source:
        Srivastava et al. (2014), Dropout: A Simple Way to Prevent Neural Networks from Overfitting.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = checks.rate(type(self).__name__, "rate", rate)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed) if self.rate > 0 else None
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the inputs with some of them dropped, in their dtype."""
        if not training or self.seed_generator is None:
            return inputs
        key = ops.cast(self.seed_generator.next(), "uint32")  # [2]
        bits = random_bits(inputs.shape, key[0], key[1])
        kept = bits >= np.uint32(self.rate * 2**32)
        return ops.where(kept, inputs / (1 - self.rate), ops.zeros_like(inputs))

    def compute_output_shape(self, inputs_shape: Any) -> Any:
        """Return the shape of the inputs."""
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
