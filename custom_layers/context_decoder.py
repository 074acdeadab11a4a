"""A recurrent decoder that is given a context: as its initial state, at every timestep, or both."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from . import checks
from .dropout import Dropout
from .recurrence import fused
from .vanilla_rnn import VanillaRNN

CONTEXTS = ("initial", "every", "both")


@keras.saving.register_keras_serializable("custom_layers")
class ContextDecoder(keras.layers.Layer):
    """Run stacked vanilla RNNs over sequences, given one context vector c for each.

        h_t^l = activation(h_{t-1}^l W^l + h_t^{l-1} U^l + c K^l + b^l),    h_t^0 = inputs_t     "every", "both"
        h_{-1}^l = tanh(c P^l + p^l)                                                          "initial", "both"

    Without "every" or "both" there is no term c K, without "initial" or "both" h_{-1} is zero. c K is one product
    before the loop over timesteps, which stays the fused one of VanillaRNN.

    A text is decoded step by step as it is in one call: `offsets` and `initial_states` once, then `decode` with the
    states that the step before returned.

    Args:
        units: size of each layer's state, a positive integer.
        layers: number of VanillaRNN layers, a positive integer; each is given the context.
        context: where the context goes in: "initial", "every" or "both".
        activation: of the recurrent layers, as in VanillaRNN.
        input_dropout: share of what each recurrent layer reads from below that training drops, anew at each timestep.
        recurrent_dropout: share of h_{t-1} that training drops where it meets W, the same at all timesteps of a call.
        recurrent_initializer: of every W, as in VanillaRNN; a random one gets a seed of its own for each layer.
        seed: seed of the initial weights and of the dropout masks; None draws them.

    Call arguments:
        inputs: float `[batch, timesteps, width]`.
        context: float `[batch, context_width]`.
        states: None to start from the context, or a state `[batch, units]` for each layer, to go on from.
        training: whether dropout applies.

    Returns:
        The states of the last layer `[batch, timesteps, units]`, and a list of the final states `[batch, units]`, one
        for each layer. In the compute dtype.

    Raises:
        TypeError: a size is no integer, or a dropout no number.
        ValueError: another value or shape than stated.

    Example:
        >>> import numpy as np
        >>> decoder = ContextDecoder(4, layers=2)
        >>> outputs, states = decoder(np.ones((2, 3, 5), "float32"), np.ones((2, 6), "float32"))
        >>> tuple(outputs.shape), [tuple(state.shape) for state in states]
        ((2, 3, 4), [(2, 4), (2, 4)])

    Source:
        Cho et al. (2014), Learning Phrase Representations using RNN Encoder-Decoder, section 2.2 and appendix A;
        Goodfellow et al. (2016), Deep Learning, section 10.2.4 and figure 10.9. Sutskever et al. (2014), Sequence to
        Sequence Learning with Neural Networks, hand the context over as the initial state only.
    """

    def __init__(
        self,
        units: int,
        layers: int = 1,
        context: str = "both",
        activation: Any = "tanh",
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        recurrent_initializer: Any = "orthogonal",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.units = checks.positive_integer(owner, "units", units)
        self.num_layers = checks.positive_integer(owner, "layers", layers)
        if context not in CONTEXTS:
            rule = f"be one of {', '.join(map(repr, CONTEXTS))}"
            raise ValueError(checks.refusal(owner, "context", rule, "context", context, "Pass context='both', say"))
        self.context = context
        self.activation = keras.activations.get(activation)
        self.input_dropout = checks.rate(owner, "input_dropout", input_dropout)
        self.recurrent_dropout = checks.rate(owner, "recurrent_dropout", recurrent_dropout)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.seed = seed

        dtype = self.dtype_policy
        self.drop_input = Dropout(input_dropout, seed=self._seed(0), dtype=dtype)
        self.recurrent_layers = [
            VanillaRNN(
                units,
                activation=activation,
                kernel_initializer=keras.initializers.GlorotUniform(seed=self._seed(5 * layer + 1)),
                recurrent_initializer=self._recurrent(5 * layer + 2),
                recurrent_dropout=recurrent_dropout,
                return_sequences=True,
                return_state=True,
                seed=self._seed(5 * layer + 3),
                dtype=dtype,
                name=f"recurrent_{layer}",
            )
            for layer in range(layers)
        ]
        self.offset_layers = [
            self._projection(f"offset_{layer}", 5 * layer + 4, use_bias=False)
            for layer in range(layers if context != "initial" else 0)
        ]
        self.state_layers = [
            self._projection(f"state_{layer}", 5 * layer + 5) for layer in range(layers if context != "every" else 0)
        ]

    def build(self, inputs_shape: Any, context_shape: Any, states_shape: Any = None) -> None:
        """Create the weights of all layers."""
        self._check_shapes(inputs_shape, context_shape, states_shape)
        width = inputs_shape[-1]
        for layer in self.recurrent_layers:
            layer.build((None, None, width))
            width = self.units
        for layer in (*self.offset_layers, *self.state_layers):
            layer.build((None, context_shape[-1]))

    def call(self, inputs: Any, context: Any, states: Sequence[Any] | None = None, training: bool = False) -> Any:
        """Return the outputs and the final states, as the class documents."""
        shapes = None if states is None else [state.shape for state in states]
        self._check_shapes(inputs.shape, context.shape, shapes)
        states = self.initial_states(context) if states is None else states
        return self.decode(inputs, self.offsets(context), states, training=training)

    def initial_states(self, context: Any) -> list[Any]:
        """Return tanh(c P + p), or zeros: a state `[batch, units]` for each layer.

        Args:
            context: float `[batch, context_width]`.
        """
        if self.state_layers:
            tanh, _ = fused.ACTIVATIONS["tanh"]  # exact in float64 on JAX, too
            return [tanh(layer(context)) for layer in self.state_layers]
        return [ops.zeros((ops.shape(context)[0], self.units), self.compute_dtype) for _ in self.recurrent_layers]

    def offsets(self, context: Any) -> list[Any]:
        """Return c K `[batch, 1, units]` for each layer; no layers, no offsets, if the context is the state's alone.

        Args:
            context: float `[batch, context_width]`.
        """
        return [ops.expand_dims(layer(context), 1) for layer in self.offset_layers]

    def decode(self, inputs: Any, offsets: Sequence[Any], states: Sequence[Any], training: bool = False) -> Any:
        """Run the layers on what `offsets` and `initial_states` returned.

        Args:
            inputs: float `[batch, timesteps, width]`.
            offsets: float `[batch, 1, units]` for each layer, or none.
            states: float `[batch, units]` for each layer.
            training: whether dropout applies.

        Returns:
            What a call returns.
        """
        sequences, final_states = inputs, []
        added = list(offsets) or [None] * self.num_layers
        for layer, state, offset in zip(self.recurrent_layers, states, added, strict=True):
            sequences = self.drop_input(sequences, training=training)
            sequences, final_state = layer(sequences, initial_state=state, offset=offset, training=training)
            final_states.append(final_state)
        return sequences, final_states

    def compute_output_shape(self, inputs_shape: Any, context_shape: Any, states_shape: Any = None) -> Any:
        """Return `[batch, timesteps, units]`, and `[batch, units]` for each layer."""
        self._check_shapes(inputs_shape, context_shape, states_shape)
        batch, timesteps, _ = inputs_shape
        return (batch, timesteps, self.units), [(batch, self.units)] * self.num_layers

    def get_config(self) -> dict[str, Any]:
        """Return every constructor argument."""
        own = {
            "units": self.units,
            "layers": self.num_layers,
            "context": self.context,
            "activation": keras.activations.serialize(self.activation),
            "input_dropout": self.input_dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "seed": self.seed,
        }
        return {**super().get_config(), **own}

    def _seed(self, number: int) -> int | None:
        """Give each initialiser its own seed: equal ones would give equal weights to layers of one shape."""
        return None if self.seed is None else self.seed + number

    def _recurrent(self, number: int) -> Any:
        """Make the initialiser of one W."""
        config = self.recurrent_initializer.get_config()
        own = {"seed": self._seed(number)} if "seed" in config else {}
        return type(self.recurrent_initializer).from_config({**config, **own})

    def _projection(self, name: str, number: int, use_bias: bool = True) -> Any:
        """Make one of the products with the context."""
        initializer = keras.initializers.GlorotUniform(seed=self._seed(number))
        return keras.layers.Dense(
            self.units, use_bias=use_bias, kernel_initializer=initializer, dtype=self.dtype_policy, name=name
        )

    def _check_shapes(self, inputs: Any, context: Any, states: Any) -> None:
        """Check the shapes of the call's arguments against each other; None: not given."""
        owner = type(self).__name__
        expected: dict[str, int | None] = {"batch": None, "timesteps": None, "width": None}
        checks.shape(owner, "inputs", "inputs.shape", inputs, expected, "Pass a batch of sequences of vectors")
        expected = {"batch": inputs[0], "context_width": None}
        checks.shape(owner, "context", "context.shape", context, expected, "Pass one vector for each sequence")
        if states is None:
            return
        if len(states) != self.num_layers:
            rule, fix = f"be one for each of the {self.num_layers} layers", "Pass the states that a call returned"
            raise ValueError(checks.refusal(owner, "states", rule, "len(states)", len(states), fix))
        for state in states:
            expected = {"batch": inputs[0], "units": self.units}
            checks.shape(owner, "a state", "state.shape", state, expected, "Pass the states that a call returned")
