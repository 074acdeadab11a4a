"""Buckets of lengths beside an enumeration of all there could be."""

import itertools

import numpy as np
import pytest

from components.transform.buckets import divide, least_padding


def timesteps(lengths: np.ndarray, borders: list[int]) -> int:
    return sum(min(border for border in borders if border >= n) for n in lengths.tolist())


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_borders_have_the_least_padding_of_all(seed: int, count: int) -> None:
    lengths = np.random.default_rng(seed).geometric(0.2, 40)
    distinct = np.unique(lengths).tolist()
    everything = [
        [*inner, distinct[-1]]
        for size in range(min(count, len(distinct)))
        for inner in itertools.combinations(distinct[:-1], size)
    ]
    borders = least_padding(lengths, count)
    assert borders == sorted(borders)
    assert borders[-1] == lengths.max()
    assert len(borders) <= count
    assert timesteps(lengths, borders) == min(timesteps(lengths, each) for each in everything)
    if 1 < count < len(distinct):  # quantiles, the obvious borders, are not it
        quantiles = np.quantile(lengths, np.arange(1, count + 1) / count, method="higher").tolist()
        assert timesteps(lengths, borders) < timesteps(lengths, quantiles)


def test_borders_of_a_single_length_are_one() -> None:
    assert least_padding(np.array([7, 7, 7]), 8) == [7]
    assert least_padding(np.array([3]), 1) == [3]


def test_borders_of_many_lengths_end_with_the_longest() -> None:
    lengths = np.random.default_rng(0).integers(1, 100_000, 5_000)
    borders = least_padding(lengths, 8)
    assert (len(borders), borders[-1]) == (8, lengths.max())
    assert timesteps(lengths, borders) < 1.15 * lengths.sum()


def test_divide_by_two_features_has_one_shape_of_both_in_a_bucket() -> None:
    written = np.array([1, 1, 9, 9, 1, 9])
    read = np.array([5, 50, 5, 50, 6, 7])
    buckets = divide([written, read], 4)
    assert [members.tolist() for members in buckets] == [[0, 4], [1], [2, 5], [3]]
    # Where the first does not vary, all buckets are the second's.
    assert [members.tolist() for members in divide([np.ones(6, int), read], 4)] == [[0, 2], [4], [5], [1, 3]]


def test_divide_by_one_feature_holds_every_example_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 9, 50)
    buckets = divide([lengths], 3)
    assert sorted(np.concatenate(buckets).tolist()) == list(range(50))
    assert len(buckets) == 3
    assert all(lengths[a].max() < lengths[b].min() for a, b in itertools.pairwise(buckets))
