"""The configuration's section `trainer`: every key, with its default, its range and what it means."""

from __future__ import annotations

from typing import Literal

import pydantic
from pydantic import Field, PositiveFloat, PositiveInt

from pipeline.section import Section

# Rows of a batch of whole examples; lanes make their own.
EXAMPLES_IN_A_BATCH = 64


class PlateauConfig(Section):
    """For `schedule: plateau`: what multiplies the learning rate after `patience` evaluations without a best."""

    factor: float = Field(default=0.5, gt=0, lt=1)
    patience: PositiveInt = 1


class OptimizerConfig(Section):
    """A Keras optimizer, its learning rate over time, and what is done to gradients and weights around its update.

    schedule: `constant`; `cosine`: falls to 0 at the last step; `exponential`: is multiplied by `decay_rate` each
        epoch, step by step; `plateau`: falls when the evaluations stop getting better, see `plateau`.
    warmup_steps: Updates over which the learning rate first rises in a straight line from 0.
    clipvalue, clipnorm, global_clipnorm: Bounds on each element, on the norm of each variable's gradient, and on the
        norm of all together; those given are applied in this order.
    gradient_noise: η of the normal noise of variance η / (1 + step)^0.55 that is added to the clipped gradients.
    weight_decay: Share of the weights, times the learning rate, that is taken off at each update; biases are spared.
    ema: Momentum of an average of the weights over the updates, which is what is evaluated and kept.
    """

    name: Literal["adam", "sgd", "rmsprop"] = "adam"
    learning_rate: PositiveFloat = 2e-3
    schedule: Literal["constant", "cosine", "exponential", "plateau"] = "cosine"
    warmup_steps: int = Field(default=0, ge=0)
    decay_rate: float = Field(default=0.95, gt=0, le=1)
    plateau: PlateauConfig = PlateauConfig()
    clipvalue: PositiveFloat | None = None
    clipnorm: PositiveFloat | None = None
    global_clipnorm: PositiveFloat | None = None
    gradient_noise: PositiveFloat | None = None
    weight_decay: PositiveFloat | None = None
    ema: float | None = Field(default=None, gt=0, lt=1)


class LengthWarmupConfig(Section):
    """Short sequences first: `length` timesteps, doubled in stages until, after `steps` updates, they are whole."""

    length: PositiveInt = 8
    steps: PositiveInt


class BadStepsConfig(Section):
    """What bounds the steps whose loss, gradient or state is not finite.

    kick_norm: Norm v of the random step of `nan_policy: kick`.
    in_a_row: So many bad steps one after the other are followed by a rollback.
    rollbacks: So many rollbacks in all, the next one ends the training.
    rollback_factor: What each rollback multiplies the learning rate by.
    """

    kick_norm: PositiveFloat = 1.0
    in_a_row: PositiveInt = 10
    rollbacks: int = Field(default=3, ge=0)
    rollback_factor: float = Field(default=0.5, gt=0, le=1)


class TrainerConfig(Section):
    """Back-propagation through time: truncated, with states carried, over the lanes of the train split; or over whole
    examples, each from a zero state.

    batch_size: Rows of one step. Lanes: it must divide `transform.lanes`, and null means all of them. Examples: null
        means 64.
    devices: Replicas of the network, one on each GPU (or CPU device), that share the rows of each batch: it must divide
        the batch size. `all` takes every device that there is.
    update_interval: k1, timesteps between two updates; null means `transform.window_length`.
    truncation_length: k2 >= k1, timesteps that each update's gradient is propagated back; null means k1.
    length_warmup: Shorter steps at the beginning.
    vanishing_penalty: λ of Pascanu's regulariser Ω, which keeps the norm of the gradient from changing as it goes back
        through time; null does without.
    evaluate_every: Epochs between evaluations (and samples); the last epoch is always evaluated.
    patience: Ends the training after so many evaluations without a best.
    nan_policy: What a step whose loss, gradient or state is not finite does: `fail` ends the training; `skip` drops the
        update; `kick` moves the weights at random by `bad_steps.kick_norm`; `rollback` restores the last checkpoint and
        lowers the learning rate.
    save_every_steps, save_every_seconds: When checkpoints are written; null for never.
    keep_checkpoints: The newest ones that stay while training; all go when it is done.
    warm_start: Whether the training begins with the weights of the last blessed model of this root, if there is one;
        its architecture and vocabulary have to be the same.
    diagnostics: Whether each evaluation measures how far gradients reach, the spectrum of W and the like.
    """

    epochs: PositiveInt = 2
    batch_size: PositiveInt | None = None
    devices: PositiveInt | Literal["all"] = Field(default=1, description="an integer > 0, or 'all'")
    truncation_length: PositiveInt | None = None
    update_interval: PositiveInt | None = None
    length_warmup: LengthWarmupConfig | None = None
    vanishing_penalty: PositiveFloat | None = None
    seed: int = Field(default=0, ge=0, lt=2**31)
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    evaluate_every: PositiveInt = 1
    patience: PositiveInt | None = None
    nan_policy: Literal["fail", "skip", "kick", "rollback"] = "fail"
    bad_steps: BadStepsConfig = BadStepsConfig()
    save_every_steps: PositiveInt | None = None
    save_every_seconds: PositiveFloat | None = 60.0
    keep_checkpoints: int = Field(default=3, ge=2)
    warm_start: bool = False
    diagnostics: bool = True
    optimizer: OptimizerConfig = OptimizerConfig()

    @pydantic.model_validator(mode="after")
    def _intervals_fit(self) -> TrainerConfig:
        k1, k2 = self.update_interval, self.truncation_length
        if k1 is not None and k2 is not None and k2 < k1:
            raise ValueError(f"truncation_length must be at least update_interval={k1}; received {k2}")
        return self
