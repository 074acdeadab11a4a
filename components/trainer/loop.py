"""Stateful truncated back-propagation through time from beginning to end: resumed, saved, rolled back, stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.tasks import files
from components.tasks.task import TaskModel
from components.trainer import resume
from components.trainer.checkpoints import Checkpoint, CheckpointStore
from components.trainer.history import History, read
from components.trainer.objective import Data
from components.trainer.progress import TrainingProgress
from components.trainer.signals import StopRequest
from components.trainer.training import RollBack, Training
from pipeline.trainer_config import TrainerConfig


@dataclass(frozen=True)
class Outcome:
    """How a training went.

    Attributes:
        steps: Updates in all.
        resumed_from_step: Updates that were read from a checkpoint; None when this process made all of them.
        best: Lowest eval `goal` of the objective: bits_per_char, or loss.
        warm_start: The model whose weights it began with; None for new ones.
    """

    steps: int
    resumed_from_step: int | None
    best: float
    warm_start: str | None = None


def train(
    model: TaskModel,
    data: Data,
    config: TrainerConfig,
    output: Path,
    workspace: Path,
    settings: Mapping[str, Any] | None = None,
    on_evaluation: Callable[[int, Mapping[str, float]], None] = lambda epoch, metrics: None,
) -> Outcome:
    """Trains `model` and writes the weights that are best on eval, and the history, into `output`.

    Args:
        model: Trained in place; ends with the weights that are written.
        data: What it is trained and evaluated on.
        config: How.
        output: Existing folder.
        workspace: Folder of the checkpoints; a training that was stopped there is gone on with.
        settings: What decides the training, as JSON; a checkpoint of others is refused, see `resume.check`.
        on_evaluation: Called with the epoch and the metrics of each evaluation; an exception ends the training.

    Raises:
        FloatingPointError: Loss, gradient or state is not finite, and the policy is to fail or has come to its end.
        ValueError: The training in `workspace` has other settings.
        KeyboardInterrupt, SystemExit: Ctrl-C or SIGTERM; a checkpoint was written before.
    """
    with (
        CheckpointStore(workspace, config.keep_checkpoints) as store,
        History(workspace / "history.jsonl") as history,
    ):
        with TrainingProgress() as progress, StopRequest() as stop:
            training = Training(model, data, config, history, progress, on_evaluation)
            saver = _Saver(training, store, config, settings or {}, progress.note)
            resumed = saver.resume()
            while not training.over:
                try:
                    for _ in training.run():
                        if stop.received is not None or saver.is_due():
                            saver.save()
                        if stop.received is not None:
                            progress.note(
                                f"Stopped by {stop.received.name} after step {training.step}. The same command, "
                                f"without --force, goes on from step {saver.saved_step}."
                            )
                            raise stop.exception()
                except RollBack as bad:
                    saver.roll_back(bad)
                except FloatingPointError:
                    if config.diagnostics:
                        _show(history.path, workspace, config)
                    raise
            saver.save()
            if stop.received is not None:
                raise stop.exception()
        training.finish()
        files.save(model, output)
        (output / "history.jsonl").write_bytes(history.path.read_bytes())
        if config.diagnostics:
            _show(history.path, output, config)
    return Outcome(training.step, resumed, training.best)


def _show(history: Path, folder: Path, config: TrainerConfig) -> None:
    """Writes the page and TensorBoard's event file of a training."""
    # Drawing takes a second to import, and a training that shows nothing can do without.
    from components.trainer.diagnostics.event_file import write_events
    from components.trainer.diagnostics.page import write_page

    entries = read(history)
    write_page(entries, folder / "training.html", config.optimizer.global_clipnorm)
    write_events(entries, folder / "tensorboard")


class _Saver:
    """Writes the checkpoints of a training when they are due, and goes back to them.

    Attributes:
        saved_step: Updates in the newest checkpoint.
    """

    def __init__(
        self,
        training: Training,
        store: CheckpointStore,
        config: TrainerConfig,
        settings: Mapping[str, Any],
        note: Callable[[str], None],
    ) -> None:
        self._training, self._store, self._config, self._settings = training, store, config, settings
        self._note = note
        self.saved_step, self._saved_time = 0, time.monotonic()

    def resume(self) -> int | None:
        """Goes on with the newest checkpoint, or begins anew with a first one; returns the step resumed from."""
        found = self._store.newest(self._note)
        if found is None:
            self._training.begin()
            self.save()
            return None
        changed = resume.check(found.values["settings"], self._settings, found.step, self._store.folder)
        self._training.restore(found)
        self.saved_step, self._saved_time = found.step, time.monotonic()
        self._note(f"Going on from step {found.step}{f', with {changed}' if changed else ''}.")
        return found.step

    def is_due(self) -> bool:
        """Says whether it is time to save."""
        steps, seconds = self._config.save_every_steps, self._config.save_every_seconds
        return (steps is not None and self._training.step % steps == 0) or (
            seconds is not None and time.monotonic() - self._saved_time >= seconds
        )

    def save(self) -> None:
        """Writes a checkpoint, unless the last step was bad or its update was: going back to it would be of no use."""
        self._training.read_results()
        checkpoint = None if self._training.bad.in_a_row else self._training.checkpoint()
        if checkpoint is not None and checkpoint.is_finite():
            values = {**checkpoint.values, "settings": self._settings}
            self._store.save(Checkpoint(checkpoint.step, checkpoint.arrays, values))
            self.saved_step = checkpoint.step
        self._saved_time = time.monotonic()

    def roll_back(self, bad: RollBack) -> None:
        """Restores the newest checkpoint with a lower learning rate, and makes that the newest one."""
        found = self._store.newest(self._note)
        if found is None:
            raise RuntimeError(f"Trainer: a rollback needs a checkpoint. Received: none in {self._store.folder}.")
        self._training.roll_back(found, bad.event, self._config.bad_steps.rollback_factor)
        self.save()
