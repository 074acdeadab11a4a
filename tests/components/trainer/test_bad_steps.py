"""What follows a step that is not finite: cause, action, and the bounds on both."""

import math

import pytest

from components.trainer.bad_steps import BadSteps, Event
from pipeline.trainer_config import BadStepsConfig

GOOD = (1.5, 2.0, 0.0)
LOSS = (math.nan, math.nan, 0.0)
GRADIENT = (1.5, math.inf, 0.0)
STATE = (1.5, 2.0, 3.0)


def judge(policy, steps, **config):
    bad = BadSteps(policy, BadStepsConfig(**config))
    return [bad.judge(number, *figures) for number, figures in enumerate(steps, 1)]


@pytest.mark.parametrize("policy", ["fail", "skip", "kick", "rollback"])
def test_judge_good_steps_have_no_event(policy):
    assert judge(policy, [GOOD] * 3) == [None] * 3


@pytest.mark.parametrize("policy", ["fail", "skip", "kick", "rollback"])
@pytest.mark.parametrize(("figures", "cause"), [(LOSS, "loss"), (GRADIENT, "gradient")])
def test_judge_bad_step_is_followed_by_the_policy(policy, figures, cause):
    assert judge(policy, [GOOD, figures]) == [None, Event(2, cause, policy)]


@pytest.mark.parametrize(
    ("policy", "action"), [("fail", "fail"), ("skip", "zero"), ("kick", "zero"), ("rollback", "rollback")]
)
def test_judge_bad_state_is_zeroed_unless_the_policy_is_stricter(policy, action):
    assert judge(policy, [STATE]) == [Event(1, "state", action)]


def test_judge_state_comes_before_loss_as_a_cause():
    assert judge("skip", [(math.nan, math.nan, 1.0)]) == [Event(1, "state", "skip")]


@pytest.mark.parametrize("policy", ["skip", "kick"])
def test_judge_many_bad_steps_in_a_row_roll_back(policy):
    events = judge(policy, [LOSS, GRADIENT, GOOD, LOSS, GRADIENT, LOSS], in_a_row=3)

    assert [event.action if event else None for event in events] == [policy, policy, None, policy, policy, "rollback"]


def test_judge_zeroed_states_are_no_bad_steps_in_a_row():
    assert {event.action for event in judge("skip", [STATE] * 5, in_a_row=2)} == {"zero"}


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_judge_rollbacks_used_up_fails(policy):
    bad = BadSteps(policy, BadStepsConfig(in_a_row=1, rollbacks=2))
    actions = []
    for number in range(1, 4):
        actions.append(bad.judge(number, *LOSS).action)
        bad.rollbacks += actions[-1] == "rollback"

    assert actions == ["rollback", "rollback", "fail"]


@pytest.mark.parametrize(("policy", "action"), [("fail", "fail"), ("skip", "rollback"), ("rollback", "rollback")])
def test_evaluation_not_finite_rolls_back_or_fails(policy, action):
    assert BadSteps(policy, BadStepsConfig()).evaluation(9) == Event(9, "loss", action)
    assert BadSteps(policy, BadStepsConfig(rollbacks=0)).evaluation(9).action == "fail"
