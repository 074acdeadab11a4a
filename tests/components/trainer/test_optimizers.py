"""Optimizers and schedules from the configuration."""

import keras
import numpy as np
import pytest

from components.trainer.loop import learning_rate
from components.trainer.optimizers import make_optimizer
from pipeline.config import OptimizerConfig
from tests.testing import to_numpy

STEPS = 40


def cosine(rate: float, step: int) -> float:
    return rate * (1 + np.cos(np.pi * min(step, STEPS) / STEPS)) / 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", keras.optimizers.Adam), ("sgd", keras.optimizers.SGD), ("rmsprop", keras.optimizers.RMSprop)],
)
def test_make_optimizer_name_gives_the_keras_class(name, kind):
    assert type(make_optimizer(OptimizerConfig(name=name), STEPS)) is kind


@pytest.mark.parametrize("clip", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_make_optimizer_clip_is_passed_on_alone(clip):
    optimizer = make_optimizer(OptimizerConfig(**{clip: 0.25}), STEPS)

    clips = {name: getattr(optimizer, name) for name in ("clipvalue", "clipnorm", "global_clipnorm")}
    assert {name for name, value in clips.items() if value is not None} == {clip}
    assert clips[clip] == 0.25


@pytest.mark.parametrize("step", [0, 1, 13, 20, 39, 40])
def test_learning_rate_cosine_equals_the_formula(step):
    optimizer = make_optimizer(OptimizerConfig(learning_rate=0.3, schedule="cosine"), STEPS)

    assert learning_rate(optimizer, step) == pytest.approx(cosine(0.3, step), rel=1e-5, abs=1e-7)


def test_learning_rate_cosine_ends_at_zero():
    optimizer = make_optimizer(OptimizerConfig(learning_rate=0.3, schedule="cosine"), STEPS)

    assert learning_rate(optimizer, STEPS) == pytest.approx(0, abs=1e-7)
    assert learning_rate(optimizer, STEPS - 1) > 0


def test_learning_rate_constant_stays():
    optimizer = make_optimizer(OptimizerConfig(learning_rate=0.3, schedule="constant"), STEPS)

    assert [learning_rate(optimizer, step) for step in (0, 7, STEPS)] == pytest.approx([0.3] * 3)


def test_make_optimizer_sgd_applies_the_scheduled_rate():
    optimizer = make_optimizer(OptimizerConfig(name="sgd", learning_rate=0.5, schedule="cosine"), STEPS)
    variable = keras.Variable(np.asarray([1.0, -2.0], "float32"))
    gradient = np.asarray([0.25, 1.0], "float32")

    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])

    total = sum(cosine(0.5, step) for step in range(3))
    np.testing.assert_allclose(to_numpy(variable.value), [1.0, -2.0] - total * gradient, rtol=1e-5)
