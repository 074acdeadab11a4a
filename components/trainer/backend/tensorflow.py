"""The training step on TensorFlow: one compiled function; the variables are updated in place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.tasks.task import TaskModel
from components.trainer.backend.update import StepResult, Sums, Update, kernel_indices, own_generator, repair
from components.trainer.gradients import global_norm
from components.trainer.probes import zero_probes
from components.trainer.vanishing import total_penalty

VIRTUAL_DEVICES = "call tf.config.set_logical_device_configuration first, see docs/training.md"


def device_count() -> int:
    """Devices that there are: GPUs if there are any, else CPUs."""
    return len(_devices())


def _devices() -> list[str]:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]


class TrainStep:
    """Forward, backward, clipping and update on one batch.

    The states are arguments of the compiled function, so no gradient flows across a window's edge. The loss is the sum
    over the batch divided by the number of positions learnt from: each token weighs the same, also where lanes have
    ended. Where loss or gradient is not finite, weights and optimizer stay as they are, or are kicked.

    Args:
        model: Trained in place.
        optimizer: A Keras optimizer without clipping or schedule of its own.
        update: What is done to the gradients.
        devices: How many share the rows of each batch; the sums over all of them make one update.
    """

    def __init__(
        self, model: TaskModel, optimizer: keras.optimizers.Optimizer, update: Update, devices: int = 1
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._update = update
        optimizer.build(model.trainable_variables)
        # On a CPU, XLA computes products of bfloat16 in float32; TensorFlow's own kernels use the processor's bfloat16.
        on_cpu = not tf.config.list_physical_devices("GPU")
        xla = not (on_cpu and model.compute_dtype == "bfloat16")
        self._concrete: dict[Any, Any] = {}
        self._replicas: _Replicas | None = None
        if devices == 1:
            self._compiled = tf.function(self._step, jit_compile=xla, autograph=False)
        else:
            # XLA compiles for one device at a time: two functions, inside one that is not compiled by it.
            self._replicas = _Replicas(model, devices, update, xla)
            self._compiled_finish = tf.function(self._finish, jit_compile=xla, autograph=False)
            self._compiled = tf.function(functools.partial(self._step_on_replicas, self._replicas), autograph=False)

    def __call__(
        self, batch: Any, states: Sequence[Any], step: int, scale: float = 1.0
    ) -> tuple[list[Any], StepResult]:
        """Takes a step.

        Args:
            batch: Arrays with a row for each example or lane.
            states: A state [batch, units] for each layer.
            step: Its number, from 0: what the schedule, noise and kicks go by.
            scale: Factor on the scheduled learning rate.

        Returns:
            The states to carry to the next batch, and the report.
        """
        arrays = tf.nest.map_structure(tf.constant, batch)
        # As arrays: TensorFlow keeps a tensor for every Python number that it was ever given.
        numbers = tf.constant(np.asarray(step, np.int32)), tf.constant(np.asarray(scale, np.float32))
        return call_for_shapes(self._compiled, self._concrete, arrays, list(states), *numbers)

    def _step(
        self, batch: Any, states: list[tf.Tensor], step: tf.Tensor, scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], StepResult]:
        sums, states = _backward(self._model, batch, states, self._update)
        return states, self._finish(sums, step, scale)

    def _step_on_replicas(
        self, replicas: _Replicas, batch: Any, states: list[tf.Tensor], step: tf.Tensor, scale: tf.Tensor
    ) -> tuple[list[tf.Tensor], StepResult]:
        with tf.device(replicas.devices[0]):
            sums, states = replicas.backward(batch, states)
            result = self._compiled_finish(sums, step, scale)
            replicas.follow()
        return states, result

    def _finish(self, sums: Sums, step: tf.Tensor, scale: tf.Tensor) -> StepResult:
        norm = global_norm(sums.gradients)
        rate = self._update.learning_rate(step) * scale
        self._apply_if(tf.math.is_finite(sums.loss) & tf.math.is_finite(norm), sums.gradients, step, rate)
        return StepResult(sums.loss, sums.count, norm, rate, sums.bad_rows)

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
        if self._replicas is not None:
            self._replicas.follow()

    def _variables(self) -> list[keras.Variable]:
        model = self._model
        return [*model.trainable_variables, *model.non_trainable_variables, *self._optimizer.variables]


def _backward(
    model: TaskModel, batch: Any, states: list[tf.Tensor], update: Update, replicas: int = 1
) -> tuple[Sums, list[tf.Tensor]]:
    """Forward and backward on the rows of one of several replicas; the sums, and the states to carry."""
    states, bad_rows = repair(states)
    probes = []
    if update.vanishing_penalty is not None:
        probes = [tuple(map(tf.constant, pair)) for pair in zero_probes(model, *batch.inputs.shape)]
    with tf.GradientTape() as tape:
        tape.watch(probes)
        loss = model.loss_of(batch, states, context=update.context, probes=probes or None)
        mean = loss.total / (replicas * loss.positions)
    weights = [variable.value for variable in model.trainable_variables]
    gradients, probe_gradients = tape.gradient(mean, (weights, probes))
    if probes:
        indices = kernel_indices(model)
        kernels = [tf.convert_to_tensor(weights[i]) for i in indices]
        with tf.GradientTape() as tape:
            tape.watch(kernels)
            penalty = update.vanishing_penalty * total_penalty(kernels, probe_gradients, batch.reset)
        for i, gradient in zip(indices, tape.gradient(penalty, kernels), strict=True):
            gradients[i] += gradient
    return Sums(loss.total, loss.count, bad_rows, gradients), loss.states


class _Replicas:
    """Copies of a model, one on each device, that share the rows of a batch.

    The optimizer knows nothing of them: it updates the model itself, once, and the copies follow. Were its variables
    mirrored, too, it would add up the gradients once more, and could not wait for a condition in each replica.

    Attributes:
        devices: Their names; the first is where sums are made, and the update.
    """

    def __init__(self, model: TaskModel, count: int, update: Update, xla: bool) -> None:
        self.devices = _devices()[:count]
        self._model = model
        self._update = update
        self._strategy = tf.distribute.MirroredStrategy(self.devices, tf.distribute.ReductionToOneDevice())
        with self._strategy.scope():
            self._copy = type(model).from_config(model.get_config())
        self._compiled_backward = tf.function(self._backward, jit_compile=xla, autograph=False)
        self.follow()

    def follow(self) -> None:
        """Gives the copies the weights of the model."""
        for copy, variable in zip(self._copy.trainable_variables, self._model.trainable_variables, strict=True):
            copy.assign(variable.value)

    def backward(self, batch: Any, states: list[tf.Tensor]) -> tuple[Sums, list[tf.Tensor]]:
        """As `_backward` on one device: sums over all rows, and the states of all rows in their order."""
        generators = self._model.non_trainable_variables
        drawn, sums, states = self._strategy.run(
            self._on_replica, (batch, states, [tf.convert_to_tensor(state.value) for state in generators])
        )
        for generator, replicas in zip(generators, drawn, strict=True):
            # The first replica's is the model's own.
            generator.assign(self._strategy.experimental_local_results(replicas)[0])
        sums = self._strategy.reduce(tf.distribute.ReduceOp.SUM, sums, axis=None)
        return sums, [self._strategy.gather(state, axis=0) for state in states]

    def _on_replica(self, batch: Any, states: list[tf.Tensor], generators: list[tf.Tensor]) -> Any:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group

        def rows(array: tf.Tensor) -> tf.Tensor:
            return tf.reshape(array, (len(self.devices), -1, *array.shape[1:]))[replica]

        own = [own_generator(state, replica) for state in generators]
        return self._compiled_backward(*tf.nest.map_structure(rows, (batch, states)), own)

    def _backward(self, batch: Any, states: list[tf.Tensor], generators: list[tf.Tensor]) -> Any:
        variables = self._copy.non_trainable_variables
        with keras.StatelessScope(state_mapping=list(zip(variables, generators, strict=True))) as scope:
            sums, states = _backward(self._copy, batch, states, self._update, len(self.devices))
        return [scope.get_current_value(variable) for variable in variables], sums, states


def call_for_shapes(function: Any, concrete: dict[Any, Any], *arguments: Any) -> Any:
    """Calls a `tf.function`, traced once for each set of shapes.

    Called directly, TensorFlow would take batches of several lengths for a function that is traced too often, and warn.

    Args:
        function: What is called.
        concrete: What was traced before, by shapes; is added to.
        arguments: Nested tensors.
    """
    shapes = tuple(tuple(tensor.shape) for tensor in tf.nest.flatten(arguments))
    if shapes not in concrete:
        concrete[shapes] = function.get_concrete_function(*arguments)
    return concrete[shapes](*arguments)


def compile_inference(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of arrays that reads the model's variables, for static shapes."""
    compiled, concrete = tf.function(function, jit_compile=True, autograph=False), dict[Any, Any]()
    return lambda *arguments: call_for_shapes(
        compiled, concrete, *tf.nest.map_structure(tf.convert_to_tensor, arguments)
    )


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

    concrete: dict[Any, Any] = {}
    return lambda *arguments: call_for_shapes(
        compute, concrete, *tf.nest.map_structure(tf.convert_to_tensor, arguments)
    )
