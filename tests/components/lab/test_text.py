"""Slices of the packaged text as windows."""

import numpy as np

from components.lab import text


def test_characters_are_slices_of_two_plays():
    train, test = text.characters(500)
    assert len(train) == len(test) == 500
    assert train != test
    assert train == text.characters(500)[0]


def test_windows_hold_each_character_and_the_one_after_it():
    inputs, targets = text.windows("abcabxa", "abc", length=2)
    np.testing.assert_array_equal(inputs.argmax(axis=2), [[0, 1], [2, 0], [1, 3]])
    np.testing.assert_array_equal(targets, [[1, 2], [0, 1], [3, 0]])
    np.testing.assert_array_equal(inputs.sum(axis=2), 1)
    assert inputs.shape == (3, 2, 4)
