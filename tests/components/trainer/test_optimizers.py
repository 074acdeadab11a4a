"""Optimizers and learning rates from the configuration."""

import keras
import numpy as np
import pytest

from components.trainer.optimizers import learning_rate, make_optimizer
from pipeline.config import OptimizerConfig
from tests.testing import to_numpy

STEPS, PER_EPOCH = 40, 8


def rate_at(step, **settings):
    return float(learning_rate(OptimizerConfig(learning_rate=0.3, **settings), PER_EPOCH, STEPS)(np.int32(step)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", keras.optimizers.Adam), ("sgd", keras.optimizers.SGD), ("rmsprop", keras.optimizers.RMSprop)],
)
def test_make_optimizer_name_gives_the_keras_class(name, kind):
    assert type(make_optimizer(OptimizerConfig(name=name))) is kind


@pytest.mark.parametrize("step", [0, 1, 13, 20, 39, 40])
def test_learning_rate_cosine_equals_the_formula(step):
    expected = 0.3 * (1 + np.cos(np.pi * step / STEPS)) / 2
    assert rate_at(step, schedule="cosine") == pytest.approx(expected, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("step", [0, 1, 13, 40, 100])
def test_learning_rate_exponential_is_multiplied_by_the_rate_each_epoch(step):
    expected = 0.3 * 0.7 ** (step / PER_EPOCH)
    assert rate_at(step, schedule="exponential", decay_rate=0.7) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_learning_rate_constant_stays(schedule):
    assert [rate_at(step, schedule=schedule) for step in (0, 7, STEPS)] == pytest.approx([0.3] * 3)


def test_learning_rate_warmup_rises_in_a_straight_line_and_then_follows_the_schedule():
    rising = [rate_at(step, schedule="cosine", warmup_steps=4) for step in range(4)]
    later = [rate_at(step, schedule="cosine", warmup_steps=4) for step in (4, 22, STEPS)]

    assert rising == pytest.approx([0.06, 0.12, 0.18, 0.24])
    assert later == pytest.approx([0.3, 0.15, 0.0], abs=1e-7)  # the cosine over the 36 steps that are left


def test_learning_rate_traced_step_gives_the_same():
    rate = learning_rate(OptimizerConfig(schedule="exponential", warmup_steps=3), PER_EPOCH, STEPS)

    steps = np.arange(6, dtype="int32")
    traced = keras.ops.vectorized_map(lambda step: rate(step), steps)
    np.testing.assert_allclose(to_numpy(traced), [float(rate(step)) for step in steps], rtol=1e-6)


def test_make_optimizer_weight_decay_spares_biases():
    kernel = keras.Variable(np.full((2, 3), 2.0, "float32"), name="kernel")
    bias = keras.Variable(np.full(3, 2.0, "float32"), name="bias")
    optimizer = make_optimizer(OptimizerConfig(name="sgd", learning_rate=0.5, weight_decay=0.1))
    optimizer.build([kernel, bias])

    optimizer.apply([keras.ops.zeros((2, 3)), keras.ops.zeros(3)], [kernel, bias])

    np.testing.assert_allclose(to_numpy(kernel.value), 2.0 * (1 - 0.5 * 0.1), rtol=1e-6)
    np.testing.assert_array_equal(to_numpy(bias.value), 2.0)


def test_make_optimizer_ema_averages_the_weights_of_each_update():
    variable = keras.Variable(np.asarray([1.0, -2.0], "float32"))
    optimizer = make_optimizer(OptimizerConfig(name="sgd", learning_rate=0.5, ema=0.8))
    weights = []
    for gradient in ([0.25, 1.0], [2.0, -1.0], [0.5, 0.5]):
        optimizer.apply([keras.ops.convert_to_tensor(np.asarray(gradient, "float32"))], [variable])
        weights.append(to_numpy(variable.value))

    optimizer.finalize_variable_values([variable])

    expected = weights[0]
    for later in weights[1:]:
        expected = 0.8 * expected + 0.2 * later
    np.testing.assert_allclose(to_numpy(variable.value), expected, rtol=1e-6)
    assert np.abs(expected - weights[-1]).max() > 0.1  # guard: the average is not the last
