"""Influence by lag, and what a curve of it amounts to: literal examples and closed forms."""

import math

import numpy as np
import pytest

from components.trainer.diagnostics.influence import by_lag, reach, rows_reached


def test_rows_reached_ends_where_a_document_began():
    reset = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
    counted = np.array([True, True, True, False])

    reached = rows_reached(reset, counted)

    # Row 0 begins with its document; row 1 at the last step but one; row 2 at the last one; row 3 has no loss.
    assert reached.T.tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False], [False] * 4]


def test_by_lag_is_the_root_mean_square_over_the_rows_that_reach():
    gradient = np.zeros((3, 2, 2), "float32")  # three rows, two timesteps, two units
    gradient[0] = [[3, 4], [0, 1]]  # norms 5 and 1
    gradient[1] = [[100, 0], [0, 7]]  # norms 100, cut off, and 7
    gradient[2] = 1000  # not counted
    reached = np.array([[True, True, False], [True, False, False]])

    assert by_lag(gradient, reached).tolist() == pytest.approx([math.sqrt((1 + 49) / 2), 5.0])


def test_by_lag_that_no_row_reaches_is_not_a_number():
    found = by_lag(np.ones((1, 2, 3), "float32"), np.array([[True], [False]]))

    assert found[0] == pytest.approx(math.sqrt(3))
    assert np.isnan(found[1])


@pytest.mark.parametrize(("factor", "lag"), [(0.9, 44), (0.5, 7), (0.1, 3)])
def test_reach_of_an_exponential_is_exact(factor, lag):
    found = reach(3 * factor ** np.arange(60))

    # The first k with factor^k < 1 %; 0.1² is 1 % itself, which still counts, in float as well.
    assert found.memory_length == lag if factor != 0.1 else found.memory_length in (2, 3)
    assert found.factor == pytest.approx(factor)
    assert found.half_life == pytest.approx(math.log(0.5) / math.log(factor))


def test_reach_beyond_the_lags_measured_is_unknown_and_its_half_life_is_not():
    found = reach(0.99 ** np.arange(50))

    assert found.memory_length is None
    assert found.half_life == pytest.approx(68.97, abs=0.01)


def test_reach_of_a_growing_curve_has_no_half_life():
    found = reach(1.2 ** np.arange(50))

    assert found.memory_length is None
    assert found.half_life is None
    assert found.factor == pytest.approx(1.2)


def test_reach_counts_the_last_lag_that_is_remembered():
    assert reach([1, 0.5, 0.001, 0.2, 0.001, 0.001]).memory_length == 4


def test_reach_ends_where_no_row_reaches():
    assert reach([1, 0.5, 0.001, np.nan, np.nan]).memory_length == 2
    assert reach([1, 0.5, np.nan, 0.001]).memory_length is None
    assert reach([np.nan, 1.0]) == reach([])


def test_reach_of_nothing_is_zero_and_of_what_is_not_finite_unknown():
    nothing = reach(np.zeros(5))
    assert (nothing.memory_length, nothing.factor, nothing.half_life) == (0, None, None)
    broken = reach([1.0, np.inf, 1.0])
    assert (broken.memory_length, broken.factor, broken.half_life) == (None, None, None)


def test_reach_with_zeros_fits_what_is_not_zero():
    found = reach([1.0, 0.5, 0.25, 0.0, 0.0])

    assert found.memory_length == 3
    assert found.factor == pytest.approx(0.5)
