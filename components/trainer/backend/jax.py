"""The training step on JAX: one jitted pure function; the weights live here between calls to `sync`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras

from components.tasks.language_model import LanguageModel, negative_log_likelihood
from components.trainer.backend.result import StepResult
from components.transform.reader import Window


class TrainStep:
    """Forward, backward, clipping and update on one window. See the TensorFlow twin for the loss."""

    def __init__(self, model: LanguageModel, optimizer: keras.optimizers.Optimizer) -> None:
        self._model = model
        self._optimizer = optimizer
        optimizer.build(model.trainable_variables)
        # Copies: a step donates, and so destroys, the arrays it is given; the variables keep theirs.
        self._trainable = [jnp.copy(variable.value) for variable in model.trainable_variables]
        self._optimizer_state = [jnp.copy(variable.value) for variable in optimizer.variables]
        # The old weights and states are not needed after the step: their memory is reused.
        self._compiled = jax.jit(self._step, donate_argnums=(0, 1, 3))

    def __call__(self, window: Window, states: Sequence[Any]) -> tuple[list[Any], StepResult]:
        self._trainable, self._optimizer_state, final_states, result = self._compiled(
            self._trainable, self._optimizer_state, window, list(states)
        )
        return final_states, result

    def _step(self, trainable: list[Any], optimizer_state: list[Any], window: Window, states: list[Any]) -> Any:
        def loss(trainable: list[Any]) -> tuple[Any, tuple[Any, Any]]:
            (logits, final_states), _ = self._model.stateless_call(
                trainable,
                [variable.value for variable in self._model.non_trainable_variables],
                window.inputs,
                states,
                reset=window.reset,
                training=True,
            )
            nats = jnp.sum(negative_log_likelihood(logits, window.targets) * window.weights)
            return nats / window.weights.size, (nats, final_states)

        (_, (nats, states)), gradients = jax.value_and_grad(loss, has_aux=True)(trainable)
        norm = jnp.sqrt(sum(jnp.vdot(gradient, gradient) for gradient in gradients))
        trainable, optimizer_state = self._optimizer.stateless_apply(optimizer_state, gradients, trainable)
        return trainable, optimizer_state, states, StepResult(nats, jnp.sum(window.weights), norm)

    def sync(self) -> None:
        """Writes the weights and the optimizer's state into their Keras variables."""
        for variable, value in zip(self._model.trainable_variables, self._trainable, strict=True):
            variable.assign(jnp.copy(value))
        for variable, value in zip(self._optimizer.variables, self._optimizer_state, strict=True):
            variable.assign(jnp.copy(value))


def compile_inference(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of arrays that reads the model's variables, for static shapes."""

    def pure(values: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return function(*arguments)

    compiled = jax.jit(pure)
    # The values are arguments, read at each call: a constant would freeze the weights of the first one.
    return lambda *arguments: compiled([variable.value for variable in model.variables], *arguments)


def compile_gradient(model: keras.Model, function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Compiles `function(differentiated, *others)`, a scalar, into (value, gradients nested as `differentiated` is).

    The function may call the model (or layer), whose variables are read at each call; arguments are nested arrays.
    """

    def pure(values: list[Any], differentiated: Any, *others: Any) -> tuple[Any, Any]:
        def scalar(differentiated: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
                return function(differentiated, *others)

        return jax.value_and_grad(scalar)(differentiated)

    compiled = jax.jit(pure)
    return lambda *arguments: compiled([variable.value for variable in model.variables], *arguments)
