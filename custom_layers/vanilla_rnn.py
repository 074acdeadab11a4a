"""The vanilla RNN of Elman (1990) over whole sequences: VanillaRNN, around a VanillaRNNCell."""

from typing import Any

import keras
from keras import ops

from . import checks
from .carried_state import CarriedState
from .recurrence import recurrence
from .vanilla_rnn_cell import VanillaRNNCell

__all__ = ["VanillaRNN", "VanillaRNNCell"]


def _of_cell(name: str) -> Any:
    """Make a read-only property of the layer out of an attribute of its cell."""
    return property(lambda layer: getattr(layer.cell, name), doc=f"`{name}` of the cell.")


@keras.saving.register_keras_serializable("custom_layers")
class VanillaRNN(CarriedState):
    """Run a vanilla RNN over sequences; a drop-in superset of `keras.layers.SimpleRNN`.

        h_t = activation(x_t U + h_{t-1} W + b + offset_t),   h_{-1} = initial_state

    with kernel U `[features, units]`, recurrent_kernel W `[units, units]` and bias b `[units]`; the three are what
    `get_weights` and `set_weights` exchange, in this order, with a SimpleRNN of the same sizes. x U + b is one product
    for all timesteps; what is left is `custom_layers.recurrence`, fused on TensorFlow and JAX.

    Unlike SimpleRNN: `reset`; `offset`; a state that can be read, set and saved, on JAX too; `seed` in the config;
    `activity_regularizer` is applied; with `go_backwards` the mask passed on is in the order of the outputs; bad
    arguments are refused, never clamped; a timestep masked before the first unmasked one outputs the initial state
    (SimpleRNN on TensorFlow: zeros). Weights are exchanged by `get_weights` and `set_weights`, not by files of weights;
    it is no `keras.layers.RNN`. On JAX its gradient is reverse-mode only (`jax.grad`, not `jax.jvp`).

    Args:
        units … recurrent_dropout: as in `keras.layers.SimpleRNN`; dropout masks are drawn once per sequence.
        return_sequences: return the state at every timestep instead of the last one.
        return_state: return the final state as well.
        go_backwards: consume the sequence (and `mask`, `reset`, `offset`) from its end; outputs come in that order.
        stateful: start from the state where the previous call ended. The batch size must be static.
        unroll: write the loop over a static number of timesteps out: longer to compile, the same numbers.
        seed: seed of the dropout masks.
        zero_output_for_mask: output zeros, instead of the carried state, at masked timesteps.

    Call arguments:
        sequences: float `[batch, timesteps, features]`.
        initial_state: float `[batch, units]` or a list of one such; default: zeros, or the carried state.
        mask: bool `[batch, timesteps]`: False carries the state over this timestep.
        reset: bool `[batch, timesteps]`: True zeroes the state before this timestep, and cuts the gradient.
        training: whether dropout applies.
        offset: float `[batch, timesteps, units]`, or `[batch, 1, units]` for all timesteps, added before the
            activation: a projected context, or zeros whose gradient is dL/da_t, a_t being what the activation is
            applied to. Dropout leaves it alone.

    Returns:
        `[batch, timesteps, units]` if `return_sequences` else `[batch, units]`; with `return_state` a tuple of this
        and the final state `[batch, units]`. In the compute dtype.

    Raises:
        TypeError: `units` is no integer, a rate is no number, or `reset` is not bool.
        ValueError: another value or shape than stated; `stateful` without a static batch size.

    Example:
        >>> import numpy as np
        >>> layer = VanillaRNN(4, return_sequences=True, return_state=True)
        >>> states, final_state = layer(np.ones((2, 3, 5), "float32"), reset=np.zeros((2, 3), bool))
        >>> tuple(states.shape), tuple(final_state.shape)
        ((2, 3, 4), (2, 4))

    Source:
        Elman (1990), Finding Structure in Time; Goodfellow et al. (2016), Deep Learning, equations 10.8 to 10.11.
    """

    units = _of_cell("units")
    activation = _of_cell("activation")
    use_bias = _of_cell("use_bias")
    kernel_initializer = _of_cell("kernel_initializer")
    recurrent_initializer = _of_cell("recurrent_initializer")
    bias_initializer = _of_cell("bias_initializer")
    kernel_regularizer = _of_cell("kernel_regularizer")
    recurrent_regularizer = _of_cell("recurrent_regularizer")
    bias_regularizer = _of_cell("bias_regularizer")
    kernel_constraint = _of_cell("kernel_constraint")
    recurrent_constraint = _of_cell("recurrent_constraint")
    bias_constraint = _of_cell("bias_constraint")
    dropout = _of_cell("dropout")
    recurrent_dropout = _of_cell("recurrent_dropout")
    seed = _of_cell("seed")

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        checks.positive_integer(owner, "units", units)
        checks.rate(owner, "dropout", dropout)
        checks.rate(owner, "recurrent_dropout", recurrent_dropout)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.cell = VanillaRNNCell(
            units,
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
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=self.dtype_policy,
            trainable=self.trainable,
            name="vanilla_rnn_cell",
        )
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.supports_masking = True

    def build(
        self, sequences_shape: Any, initial_state_shape: Any = None, reset_shape: Any = None, offset_shape: Any = None
    ) -> None:
        """Create the weights and, if stateful, the state variable `[batch, units]`."""
        self._check_shapes(sequences_shape, initial_state_shape, reset_shape, offset=offset_shape)
        batch, _, features = sequences_shape
        if not self.cell.built:
            self.cell.build((batch, features))
        if self.stateful and self.state_variable is None:
            self.create_state(batch, self.units)
        if self.unroll and sequences_shape[1] is None:
            owner, fix = type(self).__name__, "Give the input a number of timesteps, or build with unroll=False"
            what = "the number of timesteps of an unrolled layer"
            raise ValueError(checks.refusal(owner, what, "be static", "timesteps", None, fix))

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        reset: Any = None,
        training: bool = False,
        offset: Any = None,
    ) -> Any:
        """Return the outputs, as the class documents."""
        initial_state = checks.only(type(self).__name__, "initial_state", initial_state)
        mask, reset = (None if x is None else ops.convert_to_tensor(x) for x in (mask, reset))
        others = (initial_state, reset, mask, offset)
        self._check_shapes(sequences.shape, *(None if x is None else x.shape for x in others))
        if reset is not None and keras.backend.standardize_dtype(reset.dtype) != "bool":
            fix = "Cast it, as reset.astype(bool)"
            name = type(self).__name__
            raise TypeError(checks.refusal(name, "reset", "be bool", "reset.dtype", reset.dtype, fix))
        batch, timesteps, features = ops.shape(sequences)
        if self.stateful:
            batch = self.state_variable.shape[0]
        # Sizes unknown while tracing were not checked above; these make the backend refuse what does not fit.
        sequences = ops.reshape(sequences, (batch, timesteps, features))
        mask, reset = (None if x is None else ops.reshape(x, (batch, timesteps)) for x in (mask, reset))
        if initial_state is None:
            initial_state = self.state_variable if self.stateful else ops.zeros((batch, self.units), self.compute_dtype)
        initial_state = ops.reshape(ops.cast(initial_state, self.compute_dtype), (batch, self.units))

        recurrent_dropout_mask = None
        if training and self.dropout > 0:
            drop = self._dropout_mask(self.dropout, ops.ones_like(sequences[:, 0, :]))  # [batch, features]
            sequences = sequences * drop[:, None, :]  # [batch, timesteps, features]
        if training and self.recurrent_dropout > 0:
            recurrent_dropout_mask = self._dropout_mask(
                self.recurrent_dropout, ops.ones_like(initial_state)
            )  # [batch, units]

        # Time-major from here on: the transposes of stacked layers cancel, and every timestep is contiguous.
        sequences = ops.transpose(sequences, (1, 0, 2))  # [timesteps, batch, features]
        mask = None if mask is None else ops.transpose(ops.cast(mask, "bool"))  # [timesteps, batch]
        reset = None if reset is None else ops.transpose(reset)  # [timesteps, batch]
        if offset is not None:
            given = 1 if offset.shape[1] == 1 else timesteps
            offset = ops.reshape(ops.cast(offset, self.compute_dtype), (batch, given, self.units))
            offset = ops.transpose(offset, (1, 0, 2))  # [timesteps, batch, units], or one timestep that is broadcast
        if self.go_backwards:
            sequences, mask, reset, offset = (
                None if x is None else ops.flip(x, axis=0) for x in (sequences, mask, reset, offset)
            )
        projected = ops.matmul(ops.reshape(sequences, (-1, features)), self.cell.kernel)  # [timesteps · batch, units]
        if self.use_bias:
            projected = projected + self.cell.bias
        projected = ops.reshape(projected, (timesteps, batch, self.units))  # [timesteps, batch, units]
        if offset is not None:
            projected = projected + offset

        states = recurrence(
            projected,
            initial_state,
            self.cell.recurrent_kernel,
            self.activation,
            reset,
            mask,
            recurrent_dropout_mask=recurrent_dropout_mask,
            unroll=self.unroll,
            time_major=True,
        )  # [timesteps, batch, units]
        final_state = states[-1]  # [batch, units]
        if self.stateful:
            self.state_variable.assign(final_state)
        if mask is not None and self.zero_output_for_mask:
            states = ops.where(mask[:, :, None], states, ops.zeros_like(states))
        output = ops.transpose(states, (1, 0, 2)) if self.return_sequences else states[-1]
        return (output, final_state) if self.return_state else output

    def compute_output_shape(
        self, sequences_shape: Any, initial_state_shape: Any = None, reset_shape: Any = None, offset_shape: Any = None
    ) -> Any:
        """Return `[batch, timesteps, units]` or `[batch, units]`, and the final state's shape with `return_state`."""
        self._check_shapes(sequences_shape, initial_state_shape, reset_shape, offset=offset_shape)
        batch, timesteps, _ = sequences_shape
        output_shape = (batch, timesteps, self.units) if self.return_sequences else (batch, self.units)
        return (output_shape, (batch, self.units)) if self.return_state else output_shape

    def compute_mask(self, sequences: Any, previous_mask: Any) -> Any:
        """Pass the mask on with the sequence, in the order of the outputs."""
        mask = checks.only(type(self).__name__, "mask", previous_mask) if self.return_sequences else None
        if mask is not None and self.go_backwards:
            mask = ops.flip(mask, axis=1)
        return [mask, None] if self.return_state else mask

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return zeros `[batch, units]`, in a list as Keras' RNN layers do."""
        return self.cell.get_initial_state(batch_size)

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument."""
        own = {
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
        }
        return {**self.cell.get_config(), **super().get_config(), **own}

    def _dropout_mask(self, rate: float, ones: Any) -> Any:
        """Draw the factors, 0 or 1 / (1 - rate), of one call: the same at all its timesteps."""
        return keras.random.dropout(ones, rate, seed=self.cell.seed_generator)

    def _check_shapes(
        self, sequences: Any, initial_state: Any, reset: Any, mask: Any = None, offset: Any = None
    ) -> None:
        """Check the shapes of the call's arguments against each other and the weights; None: not given."""
        owner = type(self).__name__
        batch = None if self.state_variable is None else self.state_variable.shape[0]
        features = self.cell.kernel.shape[0] if self.cell.built else None
        expected = {"batch": batch, "timesteps": None, "features": features}
        fix = "Pass a batch of sequences of the sizes that the layer was built with"
        checks.shape(owner, "sequences", "sequences.shape", sequences, expected, fix)
        batch, timesteps, _ = sequences
        if timesteps == 0:
            fix = "Leave empty sequences out"
            shape = tuple(sequences)
            raise ValueError(checks.refusal(owner, "sequences", "have a timestep", "sequences.shape", shape, fix))
        if initial_state is not None:
            expected = {"batch": batch, "units": self.units}
            fix = "Pass one state for each sequence"
            checks.shape(owner, "initial_state", "initial_state.shape", checks.only_shape(initial_state), expected, fix)
        for name, flags in (("reset", reset), ("mask", mask)):
            if flags is not None:
                fix = "Pass one flag for each timestep of each sequence"
                checks.shape(owner, name, f"{name}.shape", flags, {"batch": batch, "timesteps": timesteps}, fix)
        if offset is not None:
            given = 1 if len(offset) == 3 and offset[1] == 1 else timesteps
            expected = {"batch": batch, "timesteps": given, "units": self.units}
            fix = "Pass one offset for each timestep of each sequence, or for all timesteps of it"
            checks.shape(owner, "offset", "offset.shape", offset, expected, fix)
