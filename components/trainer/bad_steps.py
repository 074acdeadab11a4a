"""What follows a step whose loss, gradient or state is not finite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pipeline.trainer_config import BadStepsConfig

Cause = Literal["loss", "gradient", "state"]
Action = Literal["skip", "kick", "zero", "rollback", "fail"]


@dataclass(frozen=True)
class Event:
    """A step that was not finite.

    Attributes:
        step: Its number, from 1.
        cause: What was not finite; the first of a state that came in, the loss, the gradient.
        action: `skip`, `kick`: as `nan_policy` says, inside the step; `zero`: rows of the state were zeroed and the
            update was made; `rollback`, `fail`: what is to be done.
    """

    step: int
    cause: Cause
    action: Action


class BadSteps:
    """Judges steps one after the other.

    Attributes:
        in_a_row: Bad steps since the last good one.
        rollbacks: Rollbacks so far.
    """

    def __init__(self, policy: Literal["fail", "skip", "kick", "rollback"], config: BadStepsConfig) -> None:
        self.in_a_row = 0
        self.rollbacks = 0
        self._policy = policy
        self._config = config

    def judge(self, step: int, loss: float, gradient_norm: float, bad_rows: float) -> Event | None:
        """Says what follows a step; None for a good one.

        Args:
            step: Its number, from 1.
            loss, gradient_norm: Of the step.
            bad_rows: Rows of the states that were not finite when they came in.
        """
        causes: tuple[tuple[Cause, bool], ...] = (
            ("state", bad_rows > 0),
            ("loss", not math.isfinite(loss)),
            ("gradient", not math.isfinite(gradient_norm)),
        )
        updated = math.isfinite(loss) and math.isfinite(gradient_norm)
        self.in_a_row = 0 if updated else self.in_a_row + 1
        cause = next((cause for cause, holds in causes if holds), None)
        if cause is None:
            return None
        action: Action = self._policy
        if action in ("skip", "kick"):
            if updated:
                action = "zero"
            elif self.in_a_row >= self._config.in_a_row:
                action = "rollback"
        return Event(step, cause, self._bounded(action))

    def evaluation(self, step: int) -> Event:
        """Says what follows an evaluation that is not finite: no later step can mend its weights."""
        return Event(step, "loss", "fail" if self._policy == "fail" else self._bounded("rollback"))

    def _bounded(self, action: Action) -> Action:
        return "fail" if action == "rollback" and self.rollbacks >= self._config.rollbacks else action
