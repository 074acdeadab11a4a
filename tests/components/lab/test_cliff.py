"""The cliff's surface and the steps of descent, against NumPy."""

import numpy as np
import pytest

from components.lab import cliff


def loss(w, b, timesteps=50):
    state = 1 / (1 + np.exp(-0.5))
    for _ in range(timesteps):
        state = 1 / (1 + np.exp(-(w * state + b)))
    return (state - 0.7) ** 2


def gradient(w, b, epsilon=1e-6):
    d_w = loss(w + epsilon, b) - loss(w - epsilon, b)
    d_b = loss(w, b + epsilon) - loss(w, b - epsilon)
    return np.asarray([d_w, d_b]) / (2 * epsilon)


def test_cliff_surface_equals_the_loss_of_each_network():
    w, b = np.asarray([-1.0, 2.0, 5.0]), np.asarray([-3.0, 0.5])
    expected = [[loss(column, row, timesteps=7) for column in w] for row in b]
    np.testing.assert_allclose(cliff.surface(w, b, timesteps=7), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", cliff.CLIPPING)
def test_cliff_step_is_that_of_gradient_descent_with_clipping(kind):
    start = (4.0, -2.1)
    step = -cliff.LEARNING_RATE * gradient(*start)
    threshold = cliff.LEARNING_RATE * cliff.THRESHOLD
    assert np.abs(step).min() > threshold  # guard: both kinds of clipping have something to clip
    if kind == "clipvalue":
        step = np.clip(step, -threshold, threshold)
    elif kind == "global_clipnorm":
        step *= threshold / np.linalg.norm(step)

    path, losses = cliff.descend(cliff._model(cliff.CLIPPING[kind]), start, steps=1)

    np.testing.assert_allclose(path, [start, start + step], rtol=1e-3)
    np.testing.assert_allclose(losses, [loss(*point) for point in path], rtol=1e-3)


def test_cliff_clipping_by_norm_learns_where_descent_without_clipping_is_thrown_off():
    figures = cliff.measure(size=3, starts=[(5.5, -2.5)])
    longest = {kind: np.linalg.norm(np.diff(path[0], axis=0), axis=1).max() for kind, path in figures.paths.items()}
    assert longest["no clipping"] > 1
    assert longest["global_clipnorm"] <= 0.1001
    assert figures.ends("global_clipnorm")[0] < 0.01 < figures.ends("no clipping")[0]
