"""One timestep of the vanilla RNN: VanillaRNNCell."""

from typing import Any

import keras

from . import checks


@keras.saving.register_keras_serializable("custom_layers")
class VanillaRNNCell(keras.layers.SimpleRNNCell):
    """Compute one timestep of a vanilla RNN.

        h_t = activation(x_t U + h_{t-1} W + b)

    with kernel U `[features, units]`, recurrent_kernel W `[units, units]` and bias b `[units]`. It is Keras'
    `SimpleRNNCell` (whose constructor, weights, `state_size`, `output_size` and `get_initial_state` it keeps; by being
    one, it gets one dropout mask per sequence from `keras.layers.RNN`) with arguments that are refused, never clamped.

    Args:
        units: size of the state, a positive integer.
        activation … seed: as in `keras.layers.SimpleRNNCell`; `dropout` and `recurrent_dropout` lie in [0, 1).

    Raises:
        TypeError, ValueError: `units` is no positive integer, or a dropout rate lies outside [0, 1).

    Example:
        >>> import numpy as np
        >>> layer = keras.layers.RNN(VanillaRNNCell(4), return_sequences=True)
        >>> tuple(layer(np.ones((2, 3, 5), "float32")).shape)
        (2, 3, 4)

    Source:
        Elman (1990), Finding Structure in Time; Goodfellow et al. (2016), Deep Learning, equations 10.8 and 10.9.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        super().__init__(
            checks.positive_integer(owner, "units", units),
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=checks.rate(owner, "dropout", dropout),
            recurrent_dropout=checks.rate(owner, "recurrent_dropout", recurrent_dropout),
            seed=seed,
            **kwargs,
        )
