"""The state of a stateful layer: a variable that is created, read, set, zeroed and saved, but is no weight."""

import warnings
from typing import Any

import keras
from keras import ops

from . import checks


class CarriedState(keras.layers.Layer):
    """Give a layer a state `[batch, units]` that it carries from call to call.

    The state is one of `variables` and `non_trainable_variables`, so Keras threads it through JAX's stateless calls
    and it is in `.keras`, `.weights.h5` and TensorFlow checkpoints; it is not one of `weights`, so `get_weights` and
    `set_weights` exchange weights only.

    A subclass calls `create_state` in `build`, reads `state_variable` and assigns to it in `call`.

    Example:
        >>> import numpy as np
        >>> from custom_layers import VanillaRNN
        >>> layer = VanillaRNN(4, stateful=True)
        >>> final_state = layer(np.ones((2, 3, 5), "float32"))
        >>> bool((np.asarray(layer.state) == np.asarray(final_state)).all())
        True
        >>> layer.state = np.zeros((2, 4), "float32")
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.state_variable: Any = None

    def create_state(self, batch: int | None, units: int) -> None:
        """Create the state variable, zeros `[batch, units]` in the variable dtype.

        Raises:
            ValueError: the batch size is not static.
        """
        owner = type(self).__name__
        if batch is None:
            fix = f"Give the input a batch size, as keras.Input(batch_shape=...), or build {owner} with stateful=False"
            raise ValueError(
                checks.refusal(owner, "the batch size of a stateful layer", "be static", "batch", batch, fix)
            )
        self.state_variable = self.add_weight(
            shape=(batch, units), initializer="zeros", trainable=False, autocast=False, name="state"
        )

    @property
    def state(self) -> Any:
        """The carried state, a tensor `[batch, units]` in the variable dtype; settable to an array of that shape.

        Raises:
            ValueError: the layer carries no state (yet), or the new value has another shape.
        """
        return ops.copy(self._existing_state().value)  # a copy: no later call writes to it

    @state.setter
    def state(self, value: Any) -> None:
        variable = self._existing_state()
        value = ops.convert_to_tensor(value, dtype=variable.dtype)
        expected = dict(zip(("batch", "units"), variable.shape, strict=True))
        fix = "Set a state of the batch size that the layer was built with"
        checks.shape(type(self).__name__, "the state", "state.shape", value.shape, expected, fix)
        variable.assign(value)

    @property
    def states(self) -> list[Any] | None:
        """The state variable in a list, as Keras' own RNN layers have it; None when there is none."""
        return None if self.state_variable is None else [self.state_variable]

    def reset_state(self) -> None:
        """Zero the carried state; a layer that carries none has nothing to zero."""
        if self.state_variable is not None:
            self.state_variable.assign(ops.zeros(self.state_variable.shape, self.state_variable.dtype))

    def reset_states(self) -> None:
        """Do what `reset_state` does, under the name that Keras keeps for compatibility."""
        self.reset_state()

    @property
    def weights(self) -> list[Any]:
        """The weights of the layer, in `get_weights` order; the state is none of them."""
        return [weight for weight in super().weights if weight is not self.state_variable]

    def save_own_variables(self, store: Any) -> None:
        """Write the state to a checkpoint."""
        if self.state_variable is not None:
            store["state"] = ops.convert_to_numpy(self.state_variable)

    def load_own_variables(self, store: Any) -> None:
        """Read the state from a checkpoint: zeros if it has none or, with a warning, one of another shape."""
        self.reset_state()
        if self.state_variable is None or "state" not in store.keys():  # noqa: SIM118 (the store is no dict)
            return
        saved, shape = store["state"], tuple(self.state_variable.shape)
        if tuple(saved.shape) == shape:
            self.state_variable.assign(saved)
        else:
            text = f"the saved state has the shape {tuple(saved.shape)}, the layer's {shape}: it starts at zero."
            warnings.warn(f"{type(self).__name__}: {text}", stacklevel=2)

    def _existing_state(self) -> Any:
        """Return the state variable, or say why there is none."""
        if self.state_variable is not None:
            return self.state_variable
        owner = type(self).__name__
        if not getattr(self, "stateful", False):
            fix = f"Build it as {owner}(..., stateful=True), or pass initial_state and return_state=True"
            raise ValueError(
                checks.refusal(owner, "a layer whose state is used", "be stateful", "stateful", False, fix)
            )
        fix = "Call the layer, or its build method, once"
        raise ValueError(checks.refusal(owner, "a layer whose state is used", "be built", "built", self.built, fix))
