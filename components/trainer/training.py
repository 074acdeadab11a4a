"""A training in progress: what is kept between two updates, and what an epoch is made of."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from keras import ops

from components.tasks.task import TaskModel
from components.trainer import replicas
from components.trainer.backend import (
    VIRTUAL_DEVICES,
    StepResult,
    TrainStep,
    Update,
    device_count,
)
from components.trainer.bad_steps import BadSteps, Event
from components.trainer.checkpoints import Checkpoint
from components.trainer.diagnostics.measure import update_ratios
from components.trainer.history import History
from components.trainer.objective import Data
from components.trainer.optimizers import learning_rate, make_optimizer
from components.trainer.progress import TrainingProgress
from components.trainer.steps import Step
from pipeline.trainer_config import TrainerConfig

# Reading a loss waits for the device; now and then is enough for a person.
STEPS_BETWEEN_REPORTS = 20


class RollBack(Exception):
    """A step was bad, and the last checkpoint is to be restored."""

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        self.event = event


class Training:
    """One training in progress; a checkpoint holds all that changes in it.

    Args:
        model: Trained in place.
        data: What it is trained and evaluated on.
        config: How.
        history, progress: Told of every report, evaluation and bad step.
        on_evaluation: Called with the epoch and the metrics of each evaluation.

    Attributes:
        total_steps: Updates from beginning to end.
        step: Updates done.
        epoch, index: The epoch, 1 …, and how many of its steps are done.
        over: Nothing is left to do.
        best: Lowest of the objective's goal so far.
        bad: Counts steps that are not finite.
        scale: Factor on the scheduled learning rate, which plateaus and rollbacks lower.
    """

    def __init__(
        self,
        model: TaskModel,
        data: Data,
        config: TrainerConfig,
        history: History,
        progress: TrainingProgress,
        on_evaluation: Callable[[int, Mapping[str, float]], None] = lambda epoch, metrics: None,
    ) -> None:
        self._model, self._data, self._config = model, data, config
        self._history, self._progress, self._on_evaluation = history, progress, on_evaluation
        steps, optimizer = data.train, config.optimizer
        self.total_steps = steps.total(config.epochs)
        self._optimizer = make_optimizer(optimizer)
        update = Update(
            learning_rate(optimizer, steps.whole_epoch, self.total_steps),
            clipvalue=optimizer.clipvalue,
            clipnorm=optimizer.clipnorm,
            global_clipnorm=optimizer.global_clipnorm,
            gradient_noise=optimizer.gradient_noise,
            kick_norm=config.bad_steps.kick_norm if config.nan_policy == "kick" else None,
            seed=config.seed,
            context=steps.context,
            vanishing_penalty=config.vanishing_penalty,
        )
        devices = replicas.count(config.devices, device_count(), steps.batch_size, VIRTUAL_DEVICES)
        self._update = TrainStep(model, self._optimizer, update, devices)
        self._objective = data.objective(model)
        self._measure = self._objective.measure if config.diagnostics else None
        self._weights_before: dict[str, np.ndarray] = {}  # the last update of an epoch that is evaluated
        self.step, self.epoch, self.index = 0, 1, 0
        self.over = False
        self._stopped = False  # by `patience`
        self.best = math.inf
        self.bad = BadSteps(config.nan_policy, config.bad_steps)
        self.scale = 1.0
        self._best_weights: list[np.ndarray] = []
        self._evaluations_since_best = 0
        self._states = model.initial_states(steps.batch_size)
        self._results: list[StepResult] = []  # of the last steps, on the device
        self._figures: list[list[float]] = []  # what was read of those since the last report
        self._started = time.monotonic()
        self._reported = 0.0

    # ---- Steps and epochs -------------------------------------------------------------------------------------------

    def run(self) -> Iterator[None]:
        """Trains to the end; yields between two steps, where it can be saved and left.

        Raises:
            RollBack: A bad step asks for the last checkpoint.
            FloatingPointError: A bad step asks for the end.
        """
        while not self.over:
            for step in self._data.train.read(self.epoch, self.index):
                self._take(step)
                ended = self.index == self._data.train.count(self.epoch)
                if ended or len(self._figures) + len(self._results) == STEPS_BETWEEN_REPORTS:
                    self._report()
                if ended:
                    self._end_epoch()
                yield

    def _seconds(self) -> float:
        """Time that the training has taken, without the time between a stop and the resumption."""
        return time.monotonic() - self._started

    def _take(self, step: Step) -> None:
        if step.fresh:
            self._states = self._model.initial_states(self._data.train.batch_size)
        if self._measure is not None and self._is_evaluated() and self.index + 1 == self._data.train.count(self.epoch):
            self._weights_before = self._weights()
        self._states, result = self._update(step.window, self._states, self.step, self.scale)
        self._results.append(result)
        self.step += 1
        self.index += 1

    def read_results(self) -> None:
        """Waits for the steps taken, and judges them.

        Raises:
            RollBack, FloatingPointError: As `run`.
        """
        results, self._results = self._results, []
        for number, result in enumerate(results, self.step - len(results) + 1):
            figures = [float(figure) for figure in result]
            self._figures.append(figures)
            read = StepResult(*figures)
            event = self.bad.judge(number, read.loss, read.gradient_norm, read.bad_rows)
            if event is not None:
                self._follow(event, f"a loss of {read.loss}, a gradient norm of {read.gradient_norm}")

    def _follow(self, event: Event, received: str) -> None:
        if event.action == "rollback":
            raise RollBack(event)
        self._history.write(step=event.step, event={"cause": event.cause, "action": event.action})
        self._progress.note(f"Step {event.step}: {event.cause} not finite: {event.action}.")
        if event.action == "fail":
            raise FloatingPointError(
                f"Trainer: loss, gradients and states must be finite. Received: {received} at step {event.step} "
                f"(cause: {event.cause}). Go on with another trainer.nan_policy, or begin anew (--force trainer): "
                "Lower trainer.optimizer.learning_rate, or clip the gradients (trainer.optimizer.global_clipnorm)."
            )

    def _report(self) -> None:
        self.read_results()
        figures, self._figures = [StepResult(*row) for row in self._figures], []
        good = [row for row in figures if math.isfinite(row.loss) and math.isfinite(row.gradient_norm)]
        count = sum(row.count for row in good)
        named = self._objective.figures(sum(row.loss for row in good) / count if count else math.nan)
        bound = self._config.optimizer.global_clipnorm
        now = self._seconds()
        passed, self._reported = now - self._reported, now
        self._history.write(
            epoch=self.epoch,
            step=self.step,
            **named,
            gradient_norm=figures[-1].gradient_norm,
            clipped=None if bound is None else sum(row.gradient_norm > bound for row in figures) / len(figures),
            learning_rate=figures[-1].learning_rate,
            seconds=now,
        )
        self._progress.update(self.step, named, count / passed)

    def _end_epoch(self) -> None:
        last = self._is_last()
        if self._is_evaluated():
            self._evaluate()
        patience = self._config.patience
        if patience is not None and self._evaluations_since_best >= patience and not last:
            self._progress.note(f"No best for {patience} evaluations: the training ends.")
            last = self._stopped = True
        self.over = last
        self.epoch, self.index = self.epoch + 1, 0

    def _is_last(self) -> bool:
        return self.epoch >= self._config.epochs  # more, if they were lowered after a stop

    def _is_evaluated(self) -> bool:
        return self._is_last() or self.epoch % self._config.evaluate_every == 0

    # ---- Evaluation -------------------------------------------------------------------------------------------------

    def _evaluate(self) -> None:
        with self._averaged_weights():
            result = self._objective.evaluate()
            reached = result[self._objective.goal]
            if not math.isfinite(reached):
                event = self.bad.evaluation(self.step)
                self._follow(event, f"{self._objective.goal} {reached} on eval after epoch {self.epoch}")
            is_best = reached < self.best
            text = self._objective.sample(self.epoch)
            if is_best:
                self.best = reached
                self._best_weights = self._model.get_weights()
        self._evaluations_since_best = 0 if is_best else self._evaluations_since_best + 1
        optimizer = self._config.optimizer
        stuck = not is_best and self._evaluations_since_best % optimizer.plateau.patience == 0
        if optimizer.schedule == "plateau" and stuck:
            self.scale *= optimizer.plateau.factor
        self._history.write(epoch=self.epoch, step=self.step, eval=result, best=is_best, seconds=self._seconds())
        self._on_evaluation(self.epoch, result)
        self._progress.note(
            f"\nepoch {self.epoch}/{self._config.epochs}: eval {self._objective.describe(result)}"
            f"{' (best so far)' if is_best else ''}\n" + (f"{text}\n" if text else "")
        )
        if self._measure is not None:
            self._diagnose(self._measure)
        self._reported = self._seconds()

    def _diagnose(self, measure: Callable[[], dict[str, Any]]) -> None:
        """Measures the weights of the last update (not their averages)."""
        ratios = update_ratios(self._weights_before, self._weights())
        self._history.write(epoch=self.epoch, step=self.step, diagnostics={**measure(), "update_ratios": ratios})

    def _weights(self) -> dict[str, np.ndarray]:
        self._update.sync()
        variables = self._model.trainable_variables
        return {variable.path: np.array(ops.convert_to_numpy(variable.value)) for variable in variables}

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Inside, the model's Keras variables are up to date; they are averages if those are kept."""
        self._update.sync()
        # Before the first update there is nothing averaged.
        if self._config.optimizer.ema is None or not int(ops.convert_to_numpy(self._optimizer.iterations)):
            yield
            return
        variables = self._model.trainable_variables
        kept = [ops.convert_to_numpy(variable.value) for variable in variables]
        self._optimizer.finalize_variable_values(variables)
        try:
            yield
        finally:
            for variable, value in zip(variables, kept, strict=True):
                variable.assign(value)

    def finish(self) -> None:
        """Gives the model the weights of its best evaluation."""
        self._model.set_weights(self._best_weights)

    # ---- Checkpoints ------------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """All of it, as arrays and plain values; `read_results` comes first."""
        groups = {
            "variable": self._update.read(),
            # bfloat16, which NumPy's files lack, becomes float32: exactly.
            "state": [np.asarray(ops.convert_to_numpy(ops.cast(state, "float32"))) for state in self._states],
            "best": self._best_weights,
        }
        arrays = {f"{name}.{i}": array for name, group in groups.items() for i, array in enumerate(group)}
        arrays["figures"] = np.asarray(self._figures, np.float64).reshape(-1, len(StepResult._fields))
        values = {
            "epoch": self.epoch,
            "index": self.index,
            "stopped": self._stopped,
            "best": None if math.isinf(self.best) else self.best,
            "evaluations_since_best": self._evaluations_since_best,
            "scale": self.scale,
            "rollbacks": self.bad.rollbacks,
            "history": self._history.position(),
            "seconds": self._seconds(),
        }
        return Checkpoint(self.step, arrays, values)

    def begin(self) -> None:
        """Starts with an empty history."""
        self._history.cut(0)
        self._progress.start(0, self.total_steps)

    def roll_back(self, checkpoint: Checkpoint, event: Event, factor: float) -> None:
        """Goes back to a checkpoint because of a bad step, with the learning rate times `factor`."""
        self.restore(checkpoint)
        self.scale *= factor
        self.bad.rollbacks += 1
        reason = {"cause": event.cause, "action": event.action, "bad_step": event.step}
        self._history.write(step=self.step, event=reason)
        self._progress.note(
            f"Step {event.step}: {event.cause} not finite: back to step {self.step}, learning rate times {factor:g}."
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Makes this training what it was when `checkpoint` was made, its history included."""
        arrays, values = checkpoint.arrays, checkpoint.values
        self._update.write(_group(arrays, "variable"))
        self._states = [ops.cast(state, self._model.compute_dtype) for state in _group(arrays, "state")]
        self._best_weights = _group(arrays, "best")
        self._results, self._figures = [], arrays["figures"].tolist()
        self.step, self.epoch, self.index = checkpoint.step, values["epoch"], values["index"]
        # The number of epochs may have changed on the way; one that was begun is finished, so that it is evaluated.
        ended = self.index == 0 and self.epoch > self._config.epochs and bool(_group(arrays, "best"))
        self.over = ended or values["stopped"]
        self.best = math.inf if values["best"] is None else values["best"]
        self._evaluations_since_best = values["evaluations_since_best"]
        self.scale, self.bad.rollbacks, self.bad.in_a_row = values["scale"], values["rollbacks"], 0
        self._history.cut(values["history"])
        self._progress.start(self.step, self.total_steps)
        self._started = time.monotonic() - values["seconds"]
        self._reported = values["seconds"]


def _group(arrays: Mapping[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}.") for key in arrays)
    return [arrays[f"{name}.{i}"] for i in range(count)]
