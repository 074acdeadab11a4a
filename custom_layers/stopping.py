"""Where a sequence ends: StopHead decides after each token, LengthHead predicts the length from a context."""

import math
from typing import Any

import keras
from keras import ops

from . import checks


class _Scalar(keras.layers.Layer):
    """One affine number for each vector: x w + b, in the variable dtype whatever the compute dtype.

    It costs one product with a vector, and 8 bits of bfloat16 would be a coarse length.
    """

    def build(self, inputs_shape: Any) -> None:
        """Create w `[width, 1]` and b `[1]`."""
        self.kernel = self.add_weight((inputs_shape[-1], 1), "glorot_uniform", name="kernel", autocast=False)
        self.bias = self.add_weight((1,), "zeros", name="bias", autocast=False)

    def call(self, inputs: Any) -> Any:
        """Return `[…]` for `[…, width]`."""
        inputs = ops.cast(inputs, self.variable_dtype)
        return ops.squeeze(ops.matmul(inputs, self.kernel) + self.bias, axis=-1)

    def compute_output_shape(self, inputs_shape: Any) -> Any:
        """Return the shape without its last axis."""
        return tuple(inputs_shape[:-1])

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the shape without its last axis, in the variable dtype."""
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), self.variable_dtype)


@keras.saving.register_keras_serializable("custom_layers")
class StopHead(_Scalar):
    """Decide after each token whether the sequence ends with it.

        s_t = σ(h_t w + b)

    h_t is the state that also gives p(y_t) = softmax(h_t V + c): s_t is the probability that y_t is the last token,
    and p(y_1 … y_τ | c) = Π_t p(y_t) · Π_{t<τ} (1 - s_t) · s_τ. So the targets of a sequence of τ tokens are τ - 1
    zeros and a one, at the positions of its tokens; no end symbol is among them.

    Call arguments:
        states: float `[batch, timesteps, units]`, or `[rows, units]`.

    Returns:
        The log-odds log(s_t / (1 - s_t)), float32 `[batch, timesteps]` or `[rows]` (float64 with that dtype).

    Example:
        >>> import numpy as np
        >>> tuple(StopHead()(np.ones((2, 3, 4), "float32")).shape)
        (2, 3)

    Source:
        Goodfellow et al. (2016), Deep Learning, section 10.2.3: an extra Bernoulli output at each timestep.
    """

    @staticmethod
    def loss(log_odds: Any, stops: Any, weights: Any) -> Any:
        """Compute the binary cross-entropy of each timestep, in nats, times its weight.

            -weights_t · (stops_t ln s_t + (1 - stops_t) ln(1 - s_t))

        Args:
            log_odds: float `[batch, timesteps]`, what a call returns.
            stops: bool or number `[batch, timesteps]`, 1 at the last token of a sequence.
            weights: float `[batch, timesteps]`, 0 where nothing is to be learned.

        Returns:
            `[batch, timesteps]`, in the dtype of `log_odds`.
        """
        stops, weights = (ops.cast(x, log_odds.dtype) for x in (stops, weights))
        return weights * (ops.softplus(log_odds) - stops * log_odds)


@keras.saving.register_keras_serializable("custom_layers")
class LengthHead(_Scalar):
    """Predict the length τ of a sequence from its context: log τ̂ = c w + b.

    Call arguments:
        context: float `[batch, context_width]`.

    Returns:
        log τ̂, float32 `[batch]` (float64 with that dtype).

    Example:
        >>> import numpy as np
        >>> head = LengthHead()
        >>> tuple(head(np.ones((2, 4), "float32")).shape)
        (2,)

    Source:
        Goodfellow et al. (2016), Deep Learning, section 10.2.3: the model predicts τ itself, then that many tokens.
    """

    @staticmethod
    def loss(log_length: Any, lengths: Any) -> Any:
        """Compute (log τ̂ - log τ)² of each sequence.

        Args:
            log_length: float `[batch]`, what a call returns.
            lengths: `[batch]`, numbers of tokens, 1 or more.

        Returns:
            `[batch]`, in the dtype of `log_length`.
        """
        return ops.square(log_length - ops.log(ops.cast(lengths, log_length.dtype)))

    @staticmethod
    def length(log_length: Any, maximum: int) -> Any:
        """Round a predicted length to a number of tokens between 1 and `maximum`.

        Args:
            log_length: float `[batch]`, what a call returns.
            maximum: largest number of tokens, a positive integer.

        Returns:
            int32 `[batch]`.
        """
        maximum = checks.positive_integer("LengthHead", "maximum", maximum)
        # Bounded before exp, which would overflow, and after it, whose rounding can pass the bound.
        length = ops.round(ops.exp(ops.minimum(log_length, math.log(maximum))))
        return ops.clip(ops.cast(length, "int32"), 1, maximum)
