"""Moments of parts against NumPy's of the whole."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.transform.moments import Moments, joined

ROWS = np.random.default_rng(0).normal(3.0, [1.0, 50.0, 0.01], (23, 3))


@given(borders=st.lists(st.integers(0, 23), max_size=6))
@settings(deadline=None)
def test_joined_parts_of_any_size_are_the_whole(borders: list[int]) -> None:
    moments = joined(map(Moments.of, np.split(ROWS, sorted(borders))), columns=3)
    assert moments.rows == 23
    np.testing.assert_allclose(moments.mean, ROWS.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(moments.std, ROWS.std(axis=0), rtol=1e-12)


def test_joined_far_from_zero_keeps_its_digits() -> None:
    # Sums of squares would lose all of them: 1e9² has 18 digits.
    numbers = [10**9 + k for k in (0, 1, 2, 3, 4, 5)]
    exact = float(sum((Fraction(n) - Fraction(sum(numbers), 6)) ** 2 for n in numbers) / 6) ** 0.5
    parts = [np.asarray(part, np.int64)[:, None] for part in (numbers[:2], numbers[2:])]
    assert joined(map(Moments.of, parts), 1).std == pytest.approx(exact, rel=1e-12)


def test_std_of_a_constant_is_one_whatever_rounding_says() -> None:
    rows = np.stack([np.full(10, 0.1), np.arange(10)], axis=1)
    moments = joined(map(Moments.of, (rows[:3], rows[3:])), 2)
    assert moments.squares[0] != 0 or moments.mean[0] == 0.1
    assert moments.std.tolist() == [1.0, pytest.approx(np.arange(10).std())]


def test_moments_of_nothing_standardise_nothing() -> None:
    moments = joined([Moments.of(np.zeros((0, 2)))], 2)
    assert (moments.rows, moments.mean.tolist(), moments.std.tolist()) == (0, [0, 0], [1, 1])


def test_moments_small_integers_do_not_overflow() -> None:
    moments = Moments.of(np.full((1000, 1), 255, np.uint8))
    assert moments.mean == 255
