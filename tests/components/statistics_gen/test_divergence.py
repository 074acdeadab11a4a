"""The Jensen-Shannon divergence against SciPy, and what chance makes of it against drawing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance

from components.statistics_gen.divergence import expected_by_chance, jensen_shannon

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 1000), min_size=1)


@given(COUNTS, COUNTS)
def test_jensen_shannon_is_the_square_of_scipys_distance(left: dict[str, int], right: dict[str, int]) -> None:
    both = sorted(left.keys() | right.keys())
    p, q = ([counts.get(what, 0) for what in both] for counts in (left, right))
    assert jensen_shannon(left, right) == pytest.approx(distance.jensenshannon(p, q, base=2) ** 2, abs=1e-12)
    assert jensen_shannon(right, left) == pytest.approx(jensen_shannon(left, right), abs=1e-15)


def test_jensen_shannon_equal_shares_are_0_and_nothing_in_common_is_1() -> None:
    assert jensen_shannon({"a": 1, "b": 3}, {"a": 10, "b": 30}) == 0
    assert jensen_shannon({"a": 1, "b": 3}, {"c": 2}) == pytest.approx(1)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (100, 5000)])
def test_expected_by_chance_is_the_mean_of_many_draws(n: int, m: int) -> None:
    random = np.random.default_rng(0)
    shares = np.arange(1, 11) / 55
    drawn = []
    for _ in range(300):
        left, right = (dict(zip("abcdefghij", random.multinomial(k, shares).tolist(), strict=True)) for k in (n, m))
        drawn.append(jensen_shannon(left, right))
    expected = expected_by_chance(dict.fromkeys("abcdefghij", n / 10), dict.fromkeys("abcdefghij", m / 10))
    assert np.mean(drawn) == pytest.approx(expected, rel=0.1)
