"""The training step on TensorFlow: one compiled function; the variables are updated in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.tasks.language_model import LanguageModel, window_nats
from components.trainer.backend.update import StepResult, Update, kernel_indices, repair
from components.trainer.gradients import global_norm
from components.trainer.probes import zero_probes
from components.trainer.vanishing import total_penalty
from components.transform.reader import Window


class TrainStep:
    """Forward, backward, clipping and update on one window.

    The states are arguments of the compiled function, so no gradient flows across a window's edge. The loss is the sum
    over the window divided by the number of positions learnt from: each token weighs the same, also where lanes have
    ended. Where loss or gradient is not finite, weights and optimizer stay as they are, or are kicked.

    Args:
        model: Trained in place.
        optimizer: A Keras optimizer without clipping or schedule of its own.
        update: What is done to the gradients.
    """

    def __init__(self, model: LanguageModel, optimizer: keras.optimizers.Optimizer, update: Update) -> None:
        self._model = model
        self._optimizer = optimizer
        self._update = update
        optimizer.build(model.trainable_variables)
        # On a CPU, XLA computes products of bfloat16 in float32; TensorFlow's own kernels use the processor's bfloat16.
        on_cpu = not tf.config.list_physical_devices("GPU")
        xla = not (on_cpu and model.compute_dtype == "bfloat16")
        self._compiled = tf.function(self._step, jit_compile=xla)

    def __call__(
        self, window: Window, states: Sequence[Any], step: int, scale: float = 1.0
    ) -> tuple[list[Any], StepResult]:
        """Takes a step.

        Args:
            window: Arrays [batch, timesteps].
            states: A state [batch, units] for each layer.
            step: Its number, from 0: what the schedule, noise and kicks go by.
            scale: Factor on the scheduled learning rate.

        Returns:
            The states to carry to the next window, and the report.
        """
        arrays = Window(*map(tf.constant, window))
        return self._compiled(arrays, list(states), tf.constant(step), tf.constant(scale, tf.float32))

    def _step(
        self, window: Window, states: list[tf.Tensor], step: tf.Tensor, scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], StepResult]:
        states, bad_rows = repair(states)
        variables = self._model.trainable_variables
        context = self._update.context
        probes = []
        if self._update.vanishing_penalty is not None:
            probes = [tuple(map(tf.constant, pair)) for pair in zero_probes(self._model, *window.inputs.shape)]
        with tf.GradientTape() as tape:
            tape.watch(probes)
            nats, states = window_nats(self._model, window, states, context, probes or None)
            loss = nats / tf.size(window.weights[:, context:], out_type=tf.float32)
        gradients, probe_gradients = tape.gradient(loss, ([variable.value for variable in variables], probes))
        if probes:
            self._add_vanishing_penalty(gradients, probe_gradients, window.reset)
        norm = global_norm(gradients)
        rate = self._update.learning_rate(step) * scale
        self._apply_if(tf.math.is_finite(loss) & tf.math.is_finite(norm), gradients, step, rate)
        return states, StepResult(nats, tf.reduce_sum(window.weights), norm, rate, bad_rows)

    def _add_vanishing_penalty(self, gradients: list[tf.Tensor], probe_gradients: Any, reset: tf.Tensor) -> None:
        indices = kernel_indices(self._model)
        kernels = [tf.convert_to_tensor(self._model.trainable_variables[i].value) for i in indices]
        with tf.GradientTape() as tape:
            tape.watch(kernels)
            penalty = self._update.vanishing_penalty * total_penalty(kernels, probe_gradients, reset)
        for i, gradient in zip(indices, tape.gradient(penalty, kernels), strict=True):
            gradients[i] += gradient

    def _apply_if(self, good: tf.Tensor, gradients: list[tf.Tensor], step: tf.Tensor, rate: tf.Tensor) -> None:
        variables = self._model.trainable_variables

        def apply() -> tf.Tensor:
            self._optimizer.learning_rate.assign(rate)
            self._optimizer.apply(self._update.gradients(gradients, step), variables)
            return good

        def kick() -> tf.Tensor:
            if self._update.kick_norm is not None:
                kicked = self._update.kicked([variable.value for variable in variables], step)
                for variable, value in zip(variables, kicked, strict=True):
                    variable.assign(value)
            return good

        tf.cond(good, apply, kick)

    def sync(self) -> None:
        """Nothing to do: the variables are updated in place."""

    def read(self) -> list[np.ndarray]:
        """All that updates change: weights, random generators, the optimizer's variables."""
        # Copies: what TensorFlow hands to NumPy can be its own memory.
        return [np.array(variable.numpy()) for variable in self._variables()]

    def write(self, values: Sequence[np.ndarray]) -> None:
        """Restores what `read` returned."""
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)

    def _variables(self) -> list[keras.Variable]:
        model = self._model
        return [*model.trainable_variables, *model.non_trainable_variables, *self._optimizer.variables]


def compile_inference(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of arrays that reads the model's variables, for static shapes."""
    return tf.function(function, jit_compile=True)


def compile_gradient(model: keras.Model, function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Compiles `function(differentiated, *others)`, a scalar, into (value, gradients nested as `differentiated` is).

    The function may call the model, whose variables are read at each call.
    """

    def compute(differentiated: Any, *others: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(differentiated)
            value = function(differentiated, *others)
        return value, tape.gradient(value, differentiated)

    return tf.function(compute, jit_compile=True)
