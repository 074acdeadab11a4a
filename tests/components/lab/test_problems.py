"""Copying and adding: what is asked is what was shown."""

import numpy as np

from components.lab.problems import ADDING_BASELINE, adding, copying


def test_copying_asks_for_the_symbol_lag_timesteps_ago():
    sequences, targets = copying(np.random.default_rng(0), 50, 7, lag=3)
    assert sequences.shape == (50, 7, 1)
    np.testing.assert_array_equal(targets, sequences[:, :4] > 0)
    assert 0.3 < targets.mean() < 0.7


def test_adding_asks_for_the_sum_of_the_marked_numbers():
    sequences, sums = adding(np.random.default_rng(0), 4000, 9)
    numbers, marks = sequences[..., 0], sequences[..., 1]
    np.testing.assert_allclose((numbers * marks).sum(axis=1), sums[:, 0], rtol=1e-6)
    np.testing.assert_array_equal(marks[:, :4].sum(axis=1), 1)
    np.testing.assert_array_equal(marks[:, 4:].sum(axis=1), 1)
    np.testing.assert_array_equal(np.unique(marks.argmax(axis=1)), range(4))
    np.testing.assert_allclose(((sums - 1) ** 2).mean(), ADDING_BASELINE, atol=0.01)
