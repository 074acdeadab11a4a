"""Keras optimizers and schedules from the configuration."""

from __future__ import annotations

import keras

from pipeline.config import OptimizerConfig

_OPTIMIZERS = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}


def make_optimizer(config: OptimizerConfig, total_steps: int) -> keras.optimizers.Optimizer:
    """Builds the optimizer; a cosine schedule falls to zero at `total_steps`."""
    schedule: float | keras.optimizers.schedules.LearningRateSchedule = config.learning_rate
    if config.schedule == "cosine":
        schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, total_steps)
    return _OPTIMIZERS[config.name](
        learning_rate=schedule,
        clipvalue=config.clipvalue,
        clipnorm=config.clipnorm,
        global_clipnorm=config.global_clipnorm,
    )
