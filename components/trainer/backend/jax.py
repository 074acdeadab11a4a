"""The training step on JAX: one jitted pure function; the weights live here between calls to `sync`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from components.tasks.task import TaskModel
from components.trainer.backend.update import StepResult, Sums, Update, kernel_indices, own_generator, repair
from components.trainer.gradients import global_norm
from components.trainer.probes import zero_probes
from components.trainer.vanishing import total_penalty

VIRTUAL_DEVICES = "start with XLA_FLAGS=--xla_force_host_platform_device_count=2"
_REPLICAS = "replicas"  # the axis over which devices are counted


def device_count() -> int:
    """Devices that there are: accelerators if there are any, else CPUs."""
    return len(jax.devices())


class TrainStep:
    """Forward, backward, clipping and update on one batch. See the TensorFlow twin for the meaning of everything.

    With several devices, each runs the step of one device on its rows, with the sums over all of them, and makes the
    same update of its own copy of weights and optimizer.
    """

    def __init__(
        self, model: TaskModel, optimizer: keras.optimizers.Optimizer, update: Update, devices: int = 1
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._update = update
        optimizer.build(model.trainable_variables)
        (self._rate_index,) = (i for i, v in enumerate(optimizer.variables) if v is optimizer.learning_rate)
        self._devices = devices
        self._mesh = Mesh(np.array(jax.devices()[:devices]), (_REPLICAS,))
        self._load()
        # The old weights and states are not needed after the step: their memory is reused.
        self._compiled = jax.jit(self._divided(), donate_argnums=(0, 1, 2, 4))

    def _divided(self) -> Callable[..., Any]:
        """The step, with the rows of batch and states divided among the devices."""
        if self._devices == 1:
            return self._step
        whole, rows = PartitionSpec(), PartitionSpec(_REPLICAS)
        return jax.shard_map(
            self._step,
            mesh=self._mesh,
            in_specs=(whole, whole, whole, rows, rows, whole, whole),
            out_specs=(whole, rows, whole),
            # Else gradients of replicated weights would be summed without being asked.
            check_vma=False,
        )

    def _place(self, arrays: Any, *axes: str) -> Any:
        """Divides the first axis of arrays among the devices, or copies them to each."""
        if self._devices == 1:
            return arrays
        return jax.device_put(arrays, NamedSharding(self._mesh, PartitionSpec(*axes)))

    def _load(self) -> None:
        # Copies: a step donates, and so destroys, the arrays it is given; the variables keep theirs.
        self._values = [[self._place(jnp.copy(variable.value)) for variable in group] for group in self._groups()]

    def _groups(self) -> list[list[keras.Variable]]:
        model = self._model
        return [model.trainable_variables, model.non_trainable_variables, self._optimizer.variables]

    def __call__(
        self, batch: Any, states: Sequence[Any], step: int, scale: float = 1.0
    ) -> tuple[list[Any], StepResult]:
        batch, states = self._place((batch, list(states)), _REPLICAS)
        self._values, final_states, result = self._compiled(
            *self._values, batch, states, np.int32(step), np.float32(scale)
        )
        return final_states, result

    def _step(
        self,
        trainable: list[Any],
        others: list[Any],
        optimizer_state: list[Any],
        batch: Any,
        states: list[Any],
        step: Any,
        scale: Any,
    ) -> Any:
        states, bad_rows = repair(states)
        own = others
        if self._devices > 1:
            own = [own_generator(state, jax.lax.axis_index(_REPLICAS)) for state in others]

        probes = None
        if self._update.vanishing_penalty is not None:
            probes = zero_probes(self._model, *batch.inputs.shape)

        def mean_loss(differentiated: tuple[list[Any], Any]) -> tuple[Any, tuple[Any, Any, Any, Any]]:
            trainable, probes = differentiated
            variables = [*self._model.trainable_variables, *self._model.non_trainable_variables]
            mapping = zip(variables, [*trainable, *own], strict=True)
            with keras.StatelessScope(state_mapping=list(mapping)) as scope:
                loss = self._model.loss_of(batch, states, context=self._update.context, probes=probes)
            changed = [scope.get_current_value(variable) for variable in self._model.non_trainable_variables]
            mean = loss.total / (loss.positions * self._devices)
            return mean, (loss.total, loss.count, loss.states, changed)

        differentiate = jax.value_and_grad(mean_loss, has_aux=True)
        (_, (total, count, carried, drawn)), (gradients, probe_gradients) = differentiate((trainable, probes))
        if probes is not None:
            self._add_vanishing_penalty(trainable, gradients, probe_gradients, batch.reset)
        sums = Sums(total, count, bad_rows, gradients)
        if self._devices > 1:
            sums = jax.lax.psum(sums, _REPLICAS)
        norm = global_norm(sums.gradients)
        rate = self._update.learning_rate(step) * scale

        def apply() -> tuple[list[Any], list[Any]]:
            state = [*optimizer_state]
            state[self._rate_index] = rate.astype(state[self._rate_index].dtype)
            return self._optimizer.stateless_apply(state, self._update.gradients(sums.gradients, step), trainable)

        def kick() -> tuple[list[Any], list[Any]]:
            return self._update.kicked(trainable, step), optimizer_state

        good = jnp.isfinite(sums.loss) & jnp.isfinite(norm)
        trainable, optimizer_state = jax.lax.cond(good, apply, kick)
        # What was drawn moves the model's generators on.
        others = [state + (after - before) for state, before, after in zip(others, own, drawn, strict=True)]
        result = StepResult(sums.loss, sums.count, norm, rate, sums.bad_rows)
        return [trainable, others, optimizer_state], carried, result

    def _add_vanishing_penalty(
        self, trainable: list[Any], gradients: list[Any], probe_gradients: Any, reset: Any
    ) -> None:
        def penalty(kernels: list[Any]) -> Any:
            return self._update.vanishing_penalty * total_penalty(kernels, probe_gradients, reset)

        indices = kernel_indices(self._model)
        for i, gradient in zip(indices, jax.grad(penalty)([trainable[i] for i in indices]), strict=True):
            gradients[i] += gradient

    def sync(self) -> None:
        """Writes weights, random generators and the optimizer's state into their Keras variables."""
        for group, values in zip(self._groups(), self._values, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(jnp.copy(value.addressable_data(0)))

    def read(self) -> list[np.ndarray]:
        return [np.asarray(value) for values in self._values for value in values]

    def write(self, values: Sequence[np.ndarray]) -> None:
        variables = [variable for group in self._groups() for variable in group]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self._load()


def compile_inference(model: keras.Model, function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of arrays that reads the model's variables, for static shapes."""

    def pure(values: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
            return function(*arguments)

    compiled = jax.jit(pure)
    # The values are arguments, read at each call: a constant would freeze the weights of the first one.
    return lambda *arguments: compiled([variable.value for variable in model.variables], *arguments)


def compile_gradient(model: keras.Model, function: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Compiles `function(differentiated, *others)`, a scalar, into (value, gradients nested as `differentiated` is)."""

    def pure(values: list[Any], differentiated: Any, *others: Any) -> Any:
        def scalar(differentiated: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(model.variables, values, strict=True))):
                return function(differentiated, *others)

        return jax.value_and_grad(scalar)(differentiated)

    compiled = jax.jit(pure)
    return lambda *arguments: compiled([variable.value for variable in model.variables], *arguments)
