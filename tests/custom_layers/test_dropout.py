"""Dropout: which share is dropped, how the rest is scaled, and what decides it."""

import keras
import numpy as np
import pytest

from components.trainer.backend import compile_inference
from custom_layers import Dropout
from custom_layers.random_bits import random_bits
from tests.testing import to_numpy

SHAPE = (7, 30, 41)  # an odd number of values


def values(seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2, SHAPE).astype("float32")


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_the_share_and_scales_the_rest(rate):
    x = values()

    y = to_numpy(Dropout(rate, seed=3)(x, training=True))

    dropped = y == 0
    assert dropped.mean() == pytest.approx(rate, abs=0.02)
    for axis in range(3):  # no row, timestep or unit is spared or lost
        others = tuple(other for other in range(3) if other != axis)
        assert np.abs(dropped.mean(axis=others) - rate).max() < 0.2
    np.testing.assert_allclose(y[~dropped], x[~dropped] / (1 - rate), rtol=1e-6)


def test_dropout_draws_anew_at_each_call_and_again_from_the_same_seed():
    first, second = Dropout(0.5, seed=3), Dropout(0.5, seed=3)
    masks = [to_numpy(layer(values(), training=True)) == 0 for layer in (first, first, second)]

    np.testing.assert_array_equal(masks[0], masks[2])
    assert abs(np.corrcoef(masks[0].ravel(), masks[1].ravel())[0, 1]) < 0.05
    other = to_numpy(Dropout(0.5, seed=4)(values(), training=True)) == 0
    assert abs(np.corrcoef(masks[0].ravel(), other.ravel())[0, 1]) < 0.05


def test_dropout_compiled_draws_what_it_draws_eagerly():
    layer = Dropout(0.3, seed=5)
    eager = to_numpy(Dropout(0.3, seed=5)(values(), training=True))
    layer_input = values()

    compiled = compile_inference(keras.Sequential([layer]), lambda x: layer(x, training=True))

    np.testing.assert_allclose(to_numpy(compiled(layer_input)), eager, rtol=1e-6)


@pytest.mark.parametrize(("rate", "training"), [(0.5, False), (0.0, True)])
def test_dropout_off_is_the_identity(rate, training):
    np.testing.assert_array_equal(to_numpy(Dropout(rate, seed=1)(values(), training=training)), values())


def test_dropout_config_makes_the_same_layer():
    layer = Dropout(0.25, seed=9)
    again = Dropout.from_config(layer.get_config())

    np.testing.assert_array_equal(to_numpy(again(values(), training=True)), to_numpy(layer(values(), training=True)))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2])
def test_dropout_rate_outside_is_refused(rate):
    with pytest.raises(ValueError, match=r"Dropout: rate must .* Received: rate="):
        Dropout(rate)


def test_random_bits_are_uniform_and_decided_by_the_key():
    bits = to_numpy(random_bits((101, 33), np.uint32(5), np.uint32(6)))

    assert bits.dtype == np.uint32
    assert bits.shape == (101, 33)
    assert bits.mean() / 2**32 == pytest.approx(0.5, abs=0.02)
    assert len(np.unique(bits)) > 3300
    np.testing.assert_array_equal(bits, to_numpy(random_bits((101, 33), np.uint32(5), np.uint32(6))))
    assert (bits != to_numpy(random_bits((101, 33), np.uint32(5), np.uint32(7)))).mean() > 0.99
