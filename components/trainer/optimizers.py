"""Keras optimizers, and the learning rate as a function of the step, from the configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from pipeline.trainer_config import OptimizerConfig

_OPTIMIZERS = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD, "rmsprop": keras.optimizers.RMSprop}


def make_optimizer(config: OptimizerConfig) -> keras.optimizers.Optimizer:
    """Builds the optimizer. Its learning rate is a variable that the step sets; clipping is the step's, too."""
    optimizer = _OPTIMIZERS[config.name](
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        use_ema=config.ema is not None,
        ema_momentum=0.99 if config.ema is None else config.ema,
    )
    if config.weight_decay is not None:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    return optimizer


def learning_rate(config: OptimizerConfig, steps_per_epoch: int, total_steps: int) -> Callable[[Any], Any]:
    """The scheduled learning rate: a function of the step's number, 0 … total_steps - 1, also of a traced one.

    With w warm-up steps: learning_rate · (step + 1) / (w + 1) before step w; from there on, with s = step - w,

        constant, plateau   learning_rate
        cosine              learning_rate · (1 + cos(π s / (total_steps - w))) / 2
        exponential         learning_rate · decay_rate^(s / steps_per_epoch)

    `plateau`, and rollbacks, multiply it by a factor of their own.
    """
    peak, warmup = config.learning_rate, config.warmup_steps
    cosine = keras.optimizers.schedules.CosineDecay(peak, max(total_steps - warmup, 1))
    exponential = keras.optimizers.schedules.ExponentialDecay(peak, steps_per_epoch, config.decay_rate)

    def schedule(step: Any) -> Any:
        if config.schedule == "cosine":
            return cosine(step)
        if config.schedule == "exponential":
            return exponential(step)
        return ops.full((), peak)

    def rate(step: Any) -> Any:
        if not warmup:
            return schedule(step)
        rising = peak * (ops.cast(step, "float32") + 1) / (warmup + 1)
        return ops.where(step < warmup, rising, schedule(ops.maximum(step - warmup, 0)))

    return rate
