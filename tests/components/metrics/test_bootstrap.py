"""Intervals against the enumeration of all resamples, and how often they cover the truth."""

import itertools
import math

import numpy as np
import pytest

from components.metrics.bootstrap import Measured, Sums, difference, interval, measure, ratio

FOUR = np.asarray([[1, 2], [0, 3], [5, 5], [2, 7]])


def enumerated(statistics):
    """The ratio on each of the n^n resamples, sorted."""
    n = len(statistics)
    return np.sort([np.divide(*statistics[list(drawn)].sum(axis=0)) for drawn in itertools.product(range(n), repeat=n)])


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95])
def test_interval_of_four_examples_is_that_of_all_256_resamples(confidence):
    every = enumerated(FOUR)
    low, high = np.quantile(every, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    # Guard: neither bound is so near a jump that chance decides, and neither is the extreme.
    for bound, share in ((low, (1 - confidence) / 2), (high, (1 + confidence) / 2)):
        assert np.mean(every < bound) + 0.001 < share < np.mean(every <= bound) - 0.001
    assert every[0] < low < high < every[-1]

    assert interval(FOUR, ratio, resamples=100_000, confidence=confidence) == pytest.approx((low, high), abs=1e-12)


def test_interval_draws_every_resample_as_often_as_chance_does():
    every = enumerated(FOUR)
    drawn = []

    def spy(summed):
        drawn.append(ratio(summed))
        return drawn[-1]

    interval(FOUR, spy, resamples=200_000)

    values, counts = np.unique(np.concatenate(drawn).round(9), return_counts=True)
    expected, ways = np.unique(every.round(9), return_counts=True)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_allclose(counts / 200_000, ways / 256, atol=0.003)


def test_interval_sums_whole_resamples_whatever_the_shape_of_the_statistics():
    random = np.random.default_rng(3)
    statistics = random.integers(0, 9, (50, 2, 3))
    flat = statistics.reshape(50, 6)

    found = interval(statistics, lambda summed: summed[:, 1, 2] / summed[:, 0, 1], seed=4)

    assert found == interval(flat, lambda summed: summed[:, 5] / summed[:, 1], seed=4)
    assert found != interval(flat, lambda summed: summed[:, 5] / summed[:, 2], seed=4)


def test_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(5).exponential(size=5000)
    statistics = np.stack([values, np.ones(5000)], axis=1)

    low, high = interval(statistics, ratio, resamples=4000)

    half = 1.96 * values.std() / math.sqrt(5000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_interval_is_wider_with_more_confidence_and_narrower_with_more_examples():
    random = np.random.default_rng(6)
    statistics = np.stack([random.random(1600) < 0.3, np.ones(1600)], axis=1)

    def width(examples, confidence=0.95):
        low, high = interval(statistics[:examples], ratio, confidence=confidence)
        return high - low

    assert width(400, 0.8) < width(400) < width(400, 0.99)
    assert width(400) / width(1600) == pytest.approx(2, rel=0.15)


def test_interval_of_the_same_seed_is_the_same():
    statistics = np.random.default_rng(7).integers(1, 30, (40, 2))

    assert interval(statistics, ratio, seed=1) == interval(statistics, ratio, seed=1)
    assert interval(statistics, ratio, seed=1) != interval(statistics, ratio, seed=2)


def test_interval_of_many_examples_is_drawn_in_pieces_that_differ():
    """More draws than are made at once: a second piece that repeated the first would halve the distinct values."""
    statistics = np.stack([np.random.default_rng(8).random(300_000), np.ones(300_000)], axis=1)
    values = []

    def spy(summed):
        values.append(ratio(summed))
        return values[-1]

    interval(statistics, spy, resamples=8)

    assert len(values) > 1
    assert len(np.unique(np.concatenate(values))) == 8


def sentences(random, count):
    """Right tokens and tokens of sentences: how hard a sentence is, all its tokens share."""
    lengths = random.integers(2, 20, count)
    return np.stack([random.binomial(lengths, random.beta(2, 1, count)), lengths], axis=1)


def test_interval_of_sentences_covers_the_truth_and_that_of_tokens_does_not():
    random = np.random.default_rng(9)
    truth = 2 / 3
    covered, covered_by_tokens = [], []
    for seed in range(300):
        by_sentence = sentences(random, 60)
        right, tokens = by_sentence.sum(axis=0)
        by_token = np.stack([np.arange(tokens) < right, np.ones(tokens)], axis=1)
        for found, statistics in ((covered, by_sentence), (covered_by_tokens, by_token)):
            low, high = interval(statistics, ratio, resamples=300, seed=seed)
            found.append(low <= truth <= high)

    # 300 times 95 % is 285, with a standard deviation of 4; sixty sentences make the percentile a little too narrow.
    assert 0.90 <= np.mean(covered) <= 0.98
    assert np.mean(covered_by_tokens) < 0.8


def test_interval_leaves_out_resamples_without_a_denominator():
    statistics = np.asarray([[1, 2], [0, 0], [0, 0]])

    assert interval(statistics, ratio) == (0.5, 0.5)


def test_interval_of_statistics_that_never_have_a_denominator_is_nan():
    assert np.isnan(interval(np.zeros((3, 2)), ratio)).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_measure_with_one_example_that_is_not_finite_has_no_interval(broken):
    """It must not be hidden by the third of the resamples that does not draw it."""
    statistics = np.asarray([[1.0, 2], [broken, 1], [3, 4]])

    found = measure(statistics, ratio)

    assert not np.isfinite(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_measure_has_the_value_of_all_examples_inside_its_interval():
    found = measure(FOUR, ratio, seed=3)

    assert found == Measured(8 / 17, *interval(FOUR, ratio, seed=3))
    assert found.low < found.value < found.high


def test_measure_of_one_example_is_a_point():
    assert measure(np.asarray([[3, 4]]), ratio) == Measured(0.75, 0.75, 0.75)


def test_ratio_over_zero_is_nan():
    np.testing.assert_array_equal(ratio(np.asarray([[3, 4], [3, 0], [0, 5]])), [0.75, np.nan, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statistics": np.zeros((0, 2))}, r"at least one example\. Received: statistics of shape \(0, 2\)"),
        ({"resamples": 0}, "resamples must be at least 1. Received: resamples=0"),
        ({"confidence": 95}, "between 0 and 1. Received: confidence=95"),
    ],
)
def test_interval_of_nothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        interval(**{"statistics": FOUR, "metric": ratio} | arguments)


def test_difference_is_that_of_the_same_draws():
    random = np.random.default_rng(3)
    hard = random.uniform(1, 9, 300)
    one, other = (
        Sums(np.stack([hard + random.normal(shift, 0.2, 300), np.ones(300)], axis=1), ratio) for shift in (0.1, 0.0)
    )
    found = difference(one, other)
    half = 1.96 * np.std(one.statistics[:, 0] - other.statistics[:, 0]) / math.sqrt(300)
    assert found.value == pytest.approx(one.value - other.value)
    assert [found.low, found.high] == pytest.approx([found.value - half, found.value + half], abs=0.01)
    alone = measure(one.statistics, ratio)
    assert alone.high - alone.low > 5 * (found.high - found.low)  # guard: not of independent draws


def test_difference_takes_statistics_of_different_shapes():
    one = Sums(np.ones((4, 2)), ratio)
    other = Sums(np.ones((4, 3, 2)), lambda summed: summed[..., 0, 0] / summed[..., 1, 1])
    assert difference(one, other) == Measured(0.0, 0.0, 0.0)


def test_difference_of_other_examples_is_refused():
    with pytest.raises(ValueError, match="of the same examples"):
        difference(Sums(FOUR, ratio), Sums(FOUR[:3], ratio))


def test_sums_of_some_examples_are_theirs():
    assert Sums(FOUR, ratio).of(np.asarray([0, 2])).value == pytest.approx(6 / 7)
