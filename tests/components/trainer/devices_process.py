"""What two devices compute beside one, in a process of its own that has two virtual ones: `devices_process.py FOLDER`.

On JAX it has to be started with XLA_FLAGS=--xla_force_host_platform_device_count=2.
Written into FOLDER: `skip-N.npz`, `kick-N.npz` and `dropout-N.npz` of N devices; `lanes`, a corpus; and a folder for
each training.
"""

import shutil
import sys
from pathlib import Path

import keras
import numpy as np

from components.tasks.language_model import LanguageModel
from components.trainer.backend import TrainStep, Update, device_count
from components.trainer.corpus import Corpus
from components.trainer.loop import train
from components.trainer.optimizers import make_optimizer
from components.trainer.steps import LaneSteps
from components.transform.reader import LaneReader, Window
from components.transform.tokenizers import IDENTITY, CharTokenizer
from pipeline.config import OptimizerConfig, TrainerConfig
from tests.testing import random_model, random_states, random_window, stream_of, to_numpy, write_lanes

BATCH, LENGTH, CONTEXT, VOCABULARY_SIZE = 4, 7, 2, 6
BOUND, NOT_FINITE, BAD_STATE = 0.3, 2, 4  # of the gradient's norm; steps, from 0
VOCABULARY = CharTokenizer(("end", "unk", "pad"), IDENTITY, "abcd")
STOPPED_AT = 6


# ---- Steps ----------------------------------------------------------------------------------------------------------


def steps_window(step: int) -> Window:
    """Rows that differ in what they weigh, so that the halves of a batch do; one that is not finite."""
    window = random_window(BATCH, LENGTH, VOCABULARY_SIZE, seed=step)
    window.weights[3, 1:] = 0
    if step == NOT_FINITE:
        window.weights[3, 4] = np.nan  # of the rows of the second device
    return window


def take_steps(devices: int, nan_policy: str) -> dict[str, np.ndarray]:
    """Six steps with all that can be done to a gradient; every number that comes out."""
    settings = OptimizerConfig(learning_rate=0.05, weight_decay=0.1, ema=0.9)
    update = Update(
        lambda step: 0.05 / (1.0 + keras.ops.cast(step, "float32")),
        clipvalue=0.1,
        clipnorm=0.4,
        global_clipnorm=BOUND,
        gradient_noise=1e-3,
        kick_norm=0.5 if nan_policy == "kick" else None,
        context=CONTEXT,
    )
    model = random_model(VOCABULARY_SIZE)
    train_step = TrainStep(model, make_optimizer(settings), update, devices)
    states, results = random_states(model, BATCH), []
    for step in range(6):
        if step == BAD_STATE:
            states = [to_numpy(state).copy() for state in states]
            states[1][2] = np.inf
        states, result = train_step(steps_window(step), states, step, 0.9)
        results.append([float(figure) for figure in result])
    train_step.sync()
    named = {f"weight.{i}": weight for i, weight in enumerate(model.get_weights())}
    named |= {f"state.{i}": to_numpy(state) for i, state in enumerate(states)}
    floats = [value for value in train_step.read() if value.dtype == np.float32]
    return {**named, **{f"read.{i}": value for i, value in enumerate(floats)}, "results": np.array(results)}


# ---- Dropout --------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="tests")
class Forgetful(LanguageModel):
    """A model with recurrent dropout, from its configuration, too."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(**arguments)
        for number, layer in enumerate(self.recurrent_layers):
            layer.cell.recurrent_dropout = 0.5
            layer.cell.seed_generator.state.assign([number, 0])


def drop(devices: int) -> dict[str, np.ndarray]:
    """Two steps over rows of which the second half equals the first."""
    model = Forgetful(vocabulary_size=VOCABULARY_SIZE, units=16, layers=2)
    train_step = TrainStep(model, keras.optimizers.SGD(), Update(lambda step: keras.ops.full((), 0.1)), devices)
    half = random_window(2, LENGTH, VOCABULARY_SIZE, weights=False)
    window = Window(*(np.concatenate([part, part]) for part in half))
    states, found = [np.tile(state, (2, 1)) for state in random_states(model, 2)], {}
    for step in range(2):
        states, _ = train_step(window, states, step)
        states = [to_numpy(state).copy() for state in states]
        found |= {f"state.{step}.{i}": state for i, state in enumerate(states)}
    train_step.sync()
    generators = [to_numpy(variable.value) for variable in model.non_trainable_variables]
    return {**found, "generators": np.stack(generators)}


# ---- Trainings ------------------------------------------------------------------------------------------------------


def run_training(folder: Path, lanes: Path, devices: int | str) -> None:
    """Trains on lanes of unequal length."""
    folder.mkdir(exist_ok=True)
    config = TrainerConfig(
        epochs=2,
        devices=devices,
        evaluate_every=2,
        save_every_steps=3,
        save_every_seconds=None,
        keep_checkpoints=9,
        diagnostics=False,
        optimizer=OptimizerConfig(learning_rate=0.02, global_clipnorm=0.3, schedule="exponential"),
    )
    reader = LaneReader(lanes, "train", VOCABULARY.end)
    eval_stream = LaneReader(lanes, "eval", VOCABULARY.end).stream()
    corpus = Corpus(LaneSteps(reader, 4, 6), 1.0, eval_stream, len(eval_stream) - 1, VOCABULARY)
    model = random_model(len(VOCABULARY), scale=0.4)
    train(model, corpus, config, folder, folder / "work", {"trainer": {"devices": devices}})


def go_back(folder: Path, other: Path) -> None:
    """Copies a training as it was after its sixth update, in the middle of an epoch."""
    shutil.copytree(folder / "work", other / "work")
    for checkpoint in other.glob("work/*.ckpt"):
        if checkpoint.stem > f"step-{STOPPED_AT:012d}":
            checkpoint.unlink()


def main(folder: Path) -> None:
    if keras.backend.backend() == "tensorflow":  # which has no environment variable for it
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    if device_count() != 2:
        raise RuntimeError(f"Test: two devices are needed. Received: {device_count()}.")
    for devices in (1, 2):
        for policy in ("skip", "kick"):
            np.savez(folder / f"{policy}-{devices}.npz", **take_steps(devices, policy))
        np.savez(folder / f"dropout-{devices}.npz", **drop(devices))

    random = np.random.default_rng(5)
    documents = [random.integers(3, 7, length).tolist() for length in (9, 3, 14, 1, 20, 11, 8)]
    splits = {"train": (stream_of(documents, VOCABULARY.end), 4), "eval": (stream_of(documents[:2], VOCABULARY.end), 1)}
    lanes = write_lanes(folder / "lanes", splits, 6, len(VOCABULARY))
    run_training(folder / "whole-1", lanes, 1)
    run_training(folder / "whole-2", lanes, "all")
    for before, after in ((2, 1), (2, 2), (1, 2)):
        continued = folder / f"from-{before}-to-{after}"
        go_back(folder / f"whole-{before}", continued)
        run_training(continued, lanes, after)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
