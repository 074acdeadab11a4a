"""The training step on TensorFlow: one compiled function; the variables are updated in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from components.tasks.language_model import LanguageModel, negative_log_likelihood
from components.trainer.backend.result import StepResult
from components.transform.reader import Window


class TrainStep:
    """Forward, backward, clipping and update on one window.

    The states are arguments of the compiled function, so no gradient flows across a window's edge. The loss is the sum
    over the window divided by its number of positions: each token weighs the same, also where lanes have ended.

    Args:
        model: Trained in place.
        optimizer: A Keras optimizer; clips as it was told.
    """

    def __init__(self, model: LanguageModel, optimizer: keras.optimizers.Optimizer) -> None:
        self._model = model
        self._optimizer = optimizer
        optimizer.build(model.trainable_variables)
        # On a CPU, XLA computes products of bfloat16 in float32; TensorFlow's own kernels use the processor's bfloat16.
        on_cpu = not tf.config.list_physical_devices("GPU")
        xla = not (on_cpu and model.compute_dtype == "bfloat16")
        self._compiled = tf.function(self._step, jit_compile=xla)

    def __call__(self, window: Window, states: Sequence[Any]) -> tuple[list[Any], StepResult]:
        return self._compiled(Window(*map(tf.constant, window)), list(states))

    def _step(self, window: Window, states: list[tf.Tensor]) -> tuple[list[tf.Tensor], StepResult]:
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            logits, states = self._model(window.inputs, states, reset=window.reset, training=True)
            nats = tf.reduce_sum(negative_log_likelihood(logits, window.targets) * window.weights)
            loss = nats / tf.size(window.weights, out_type=tf.float32)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self._optimizer.apply(gradients, variables)
        return states, StepResult(nats, tf.reduce_sum(window.weights), tf.linalg.global_norm(gradients))

    def sync(self) -> None:
        """Nothing to do: the variables are updated in place."""


def compile_inference(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of arrays that reads the model's variables, for static shapes."""
    return tf.function(function, jit_compile=True)


def compile_gradient(model: keras.Model, function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Compiles `function(differentiated, *others)`, a scalar, into (value, gradients nested as `differentiated` is).

    The function may call the model (or layer), whose variables are read at each call; arguments are nested arrays.
    """

    # AutoGraph would read the function's source, which it cannot for every one; keras.ops need none of it.
    @tf.function(jit_compile=True, autograph=False)
    def compute(differentiated: Any, *others: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(differentiated)
            value = function(differentiated, *others)
        return value, tape.gradient(value, differentiated, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def call(*arguments: Any) -> tuple[Any, Any]:
        tensors = tf.nest.map_structure(tf.convert_to_tensor, arguments)
        # Called directly, TensorFlow would take several functions made here for one that is traced too often, and warn.
        return compute.get_concrete_function(*tensors)(*tensors)

    return call
