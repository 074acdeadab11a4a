"""Clipping in its order, noise and random directions, against NumPy."""

import itertools

import numpy as np
import pytest

from components.trainer.gradients import add_noise, clip, global_norm, random_direction
from tests.testing import to_numpy

SHAPES = [(3, 4), (4,), (2, 5)]


def gradients(seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape, scale=scale * (i + 1)).astype("float32") for i, shape in enumerate(SHAPES)]


def norm(arrays):
    return float(np.sqrt(sum((np.asarray(array, "float64") ** 2).sum() for array in arrays)))


def numpy_clip(arrays, order, bounds):
    arrays = [np.asarray(array, "float64") for array in arrays]
    for name in order:
        bound = bounds.get(name)
        if bound is None:
            continue
        if name == "clipvalue":
            arrays = [np.clip(array, -bound, bound) for array in arrays]
        if name == "clipnorm":
            arrays = [array * min(1, bound / norm([array])) for array in arrays]
        if name == "global_clipnorm":
            arrays = [array * min(1, bound / norm(arrays)) for array in arrays]
    return arrays


BOUNDS = {"clipvalue": 0.8, "clipnorm": 2.0, "global_clipnorm": 3.0}
ORDER = ("clipvalue", "clipnorm", "global_clipnorm")
COMBINATIONS = [names for count in range(4) for names in itertools.combinations(ORDER, count)]


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_clip_any_combination_is_applied_in_order(names):
    bounds = {name: BOUNDS[name] for name in names}

    clipped = clip(gradients(), **bounds)

    expected = numpy_clip(gradients(), ORDER, bounds)
    for actual, reference in zip(clipped, expected, strict=True):
        np.testing.assert_allclose(to_numpy(actual), reference, rtol=1e-5)
    for name in names:  # guard: each of the bounds matters
        fewer = numpy_clip(gradients(), ORDER, {key: value for key, value in bounds.items() if key != name})
        assert max(np.abs(a - b).max() for a, b in zip(fewer, expected, strict=True)) > 1e-2


@pytest.mark.parametrize("order", [order for order in itertools.permutations(ORDER) if order != ORDER])
def test_clip_in_another_order_is_something_else(order):
    # By value after a norm, and by variable after all together, differ; these bounds show each of the orders.
    bounds = {"clipvalue": 0.9, "clipnorm": 2.3, "global_clipnorm": 3.5}
    ours = numpy_clip(gradients(), ORDER, bounds)
    other = numpy_clip(gradients(), order, bounds)

    difference = max(np.abs(a - b).max() for a, b in zip(ours, other, strict=True))
    assert difference > 1e-3
    for actual, reference in zip(clip(gradients(), **bounds), ours, strict=True):
        np.testing.assert_allclose(to_numpy(actual), reference, rtol=1e-5)


def test_clip_zero_gradients_stay_zero():
    zeros = [np.zeros(shape, "float32") for shape in SHAPES]
    for array in clip(zeros, **BOUNDS):
        np.testing.assert_array_equal(to_numpy(array), 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_global_norm_is_not_finite_exactly_where_an_element_is_not(value):
    arrays = gradients()
    assert float(global_norm(arrays)) == pytest.approx(norm(arrays), rel=1e-6)
    arrays[1][2] = value
    assert not np.isfinite(float(global_norm(arrays)))


@pytest.mark.parametrize("step", [0, 1, 99])
def test_add_noise_has_the_variance_of_the_paper(step):
    zeros = [np.zeros((200, 100), "float32"), np.zeros(5000, "float32")]

    noise = [to_numpy(array) for array in add_noise(zeros, eta=0.3, seed=4, step=np.int32(step))]

    for array in noise:
        assert array.std() == pytest.approx(np.sqrt(0.3 / (1 + step) ** 0.55), rel=0.03)
        assert abs(array.mean()) < 0.02
    again = add_noise(zeros, eta=0.3, seed=4, step=np.int32(step))
    np.testing.assert_array_equal(to_numpy(again[0]), noise[0])
    other = to_numpy(add_noise(zeros, eta=0.3, seed=4, step=np.int32(step + 1))[0])
    assert abs(np.corrcoef(other.ravel(), noise[0].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(noise[0].ravel()[:5000], noise[1])[0, 1]) < 0.05


def test_random_direction_has_the_norm_and_no_preferred_direction():
    directions = [
        np.concatenate([to_numpy(part).ravel() for part in random_direction(gradients(), 2.5, 1, np.int32(step))])
        for step in range(200)
    ]

    assert [np.linalg.norm(direction) for direction in directions] == pytest.approx([2.5] * 200, rel=1e-5)
    assert np.linalg.norm(np.mean(directions, axis=0)) < 0.5
