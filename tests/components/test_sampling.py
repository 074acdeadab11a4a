"""Choosing tokens: the random numbers, and temperature, top-k and top-p against NumPy."""

import numpy as np
import pytest

from components.sampling import random_normal, random_uniform, sample
from custom_layers.random_bits import threefry_2x32
from tests.testing import to_numpy


def uint32(*values):
    return np.asarray(values, np.uint32)


# ---- Random numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_2x32_equals_the_published_vectors(key, counter, expected):
    """The known answers for 20 rounds of Random123 (Salmon et al., 2011)."""
    x, y = threefry_2x32(*(uint32(value) for value in (*key, *counter)))

    assert (int(to_numpy(x)[0]), int(to_numpy(y)[0])) == expected


def test_threefry_2x32_equals_jax():
    jax_random = pytest.importorskip("jax.extend.random", reason="jax is not installed")
    random = np.random.default_rng(0)
    key = random.integers(0, 2**32, 2, dtype=np.uint32)
    counters = random.integers(0, 2**32, (2, 100), dtype=np.uint32)
    x, y = threefry_2x32(np.full(100, key[0]), np.full(100, key[1]), *counters)

    expected = np.asarray(jax_random.threefry_2x32(key, counters.ravel())).reshape(2, 100)

    np.testing.assert_array_equal(to_numpy(x), expected[0])
    np.testing.assert_array_equal(to_numpy(y), expected[1])


def uniforms(count, key=(7, 9)):
    positions = np.arange(count, dtype=np.uint32)
    return to_numpy(random_uniform(np.full(count, key[0], np.uint32), np.full(count, key[1], np.uint32), positions))


def test_random_uniform_is_uniform_in_zero_to_one():
    numbers = uniforms(40000)

    assert numbers.dtype == np.float32
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
    assert abs(numbers.mean() - 1 / 2) < 0.01
    assert abs(numbers.var() - 1 / 12) < 0.005
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03


def test_random_uniform_depends_on_both_halves_of_the_key_and_on_the_position():
    first = uniforms(50)

    np.testing.assert_array_equal(first, uniforms(50))
    for key in ((7, 8), (6, 9), (9, 7)):
        assert abs(np.corrcoef(first, uniforms(50, key))[0, 1]) < 0.5
    assert len(set(first.tolist())) == 50


def test_random_uniform_row_depends_on_nothing_of_its_batch_mates():
    keys, positions = uint32(5, 6, 7), uint32(40, 0, 3)

    together = to_numpy(random_uniform(keys, keys[::-1].copy(), positions))

    alone = [to_numpy(random_uniform(keys[i : i + 1], keys[2 - i : 3 - i], positions[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_array_equal(together, alone)


# ---- Sampling -------------------------------------------------------------------------------------------------------

LOGITS = np.asarray([0.3, 2.0, -1.0, 1.2, -np.inf, 0.9, -3.0], np.float32)
TOKENS = len(LOGITS)
GRID = ((np.arange(2000) + 0.5) / 2000).astype(np.float32)


def draw(uniform=GRID, logits=LOGITS, temperature=1.0, top_k=0, top_p=1.0):
    rows, drawn = len(GRID), len(uniform)
    uniform = np.resize(uniform, rows)  # one shape: JAX compiles every operation for each
    controls = (
        np.full(rows, temperature, np.float32),
        np.full(rows, top_k, np.int32),
        np.full(rows, top_p, np.float32),
    )
    return to_numpy(sample(np.tile(logits, (rows, 1)), uniform, *controls))[:drawn]


def distribution(temperature=1.0, top_k=0, top_p=1.0, logits=LOGITS):
    """p of each token, from the docstring of `sample`, in float64 and with a Python loop for the nucleus; in order."""
    p = np.exp((logits.astype("float64") - logits.max()) / temperature)
    p /= p.sum()
    order = sorted(range(len(p)), key=lambda token: -p[token])
    order = order[: top_k or len(p)]
    total = sum(p[token] for token in order)
    kept, reached = [], 0.0
    for token in order:
        if kept and reached >= top_p * total:
            break
        kept.append(token)
        reached += p[token]
    if not top_k and top_p == 1.0:
        kept.sort()
    return {token: p[token] / reached for token in kept if p[token] > 0}


CONTROLS = [
    {},
    {"temperature": 0.5},
    {"temperature": 3.0},
    {"top_k": 3},
    {"top_k": 1},
    {"top_k": 100},
    {"top_p": 0.6},
    {"top_p": 0.8},
    {"top_p": 0.95},
    {"top_p": 1e-6},
    {"top_k": 3, "top_p": 0.8},
    {"temperature": 2.0, "top_k": 4, "top_p": 0.7},
]


@pytest.mark.parametrize("controls", CONTROLS, ids=str)
def test_sample_over_all_uniforms_equals_the_numpy_distribution(controls):
    drawn = draw(**controls)

    shares = {token: float((drawn == token).mean()) for token in set(drawn.tolist())}
    expected = distribution(**controls)
    assert set(shares) == {token for token, p in expected.items() if p > 1 / 2000}
    for token, share in shares.items():
        assert share == pytest.approx(expected[token], abs=2 / 2000)


@pytest.mark.parametrize("controls", CONTROLS, ids=str)
def test_sample_token_is_where_the_cumulative_distribution_passes_uniform(controls):
    expected = distribution(**controls)
    borders = np.concatenate([[0], np.cumsum(list(expected.values()))])
    middles = ((borders[:-1] + borders[1:]) / 2).astype(np.float32)

    assert draw(middles, **controls).tolist() == list(expected)


def test_sample_controls_change_the_distribution():
    """Guard for the two tests above: each control of these logits leaves other tokens or other shares."""
    plain = distribution()

    assert len(plain) == 6
    assert list(distribution(top_k=3)) == [1, 3, 5]
    assert list(distribution(top_p=0.6)) == [1, 3]
    assert list(distribution(top_p=0.8)) == [1, 3, 5]
    assert list(distribution(top_k=3, top_p=0.8)) == [1, 3]  # top_p of what top_k left
    assert abs(distribution(temperature=0.5)[1] - plain[1]) > 0.1


@pytest.mark.parametrize("temperature", [0.0, 1e-6, 1e-20, 1e-37])
def test_sample_temperature_zero_or_tiny_takes_the_most_likely(temperature):
    assert set(draw(temperature=temperature).tolist()) == {1}


def test_sample_temperature_zero_ignores_top_k_and_top_p():
    assert set(draw(temperature=0.0, top_k=4, top_p=0.9).tolist()) == {1}


def test_sample_banned_token_never_comes_though_nothing_else_is_likely():
    logits = np.asarray([-np.inf, -80.0, 5.0, -np.inf], np.float32)
    edges = np.asarray([0.0, 1e-7, 0.5, 1 - 2**-24], np.float32)

    for controls in ({}, {"temperature": 50.0}, {"top_k": 3}, {"top_p": 0.999999}):
        assert set(draw(edges, logits, **controls).tolist()) <= {1, 2}
    assert set(draw(edges, logits, temperature=0.0).tolist()) == {2}
    assert 1 in draw(edges, logits, temperature=50.0)  # guard: not just the greatest


@pytest.mark.parametrize("vocabulary", [5, 200])
def test_sample_uniform_at_its_edges_gives_a_possible_token(vocabulary):
    logits = np.random.default_rng(1).normal(size=vocabulary, scale=4).astype(np.float32)
    logits[1::2] = -np.inf
    edges = np.asarray([0.0, 1 - 2**-24], np.float32)

    for controls in ({}, {"top_p": 0.9}, {"top_k": 3}, {"temperature": 100.0}):
        drawn = draw(edges, logits, **controls)
        assert np.isfinite(logits[drawn]).all()
        assert drawn[0] == (logits.argmax() if "top_p" in controls or "top_k" in controls else 0)


def test_sample_frequencies_match_softmax():
    count = 10 * len(GRID)

    drawn = np.concatenate([draw(part, temperature=0.8) for part in np.split(uniforms(count), 10)])

    expected = distribution(temperature=0.8)
    statistic = sum((np.count_nonzero(drawn == token) - count * p) ** 2 / (count * p) for token, p in expected.items())
    assert statistic < 30  # 5 degrees of freedom: p < 2e-5 for a right sampler
    assert set(drawn.tolist()) <= set(expected)


def test_sample_rows_use_their_own_controls():
    random = np.random.default_rng(2)
    logits = random.normal(size=(5, TOKENS), scale=2).astype(np.float32)
    uniform = random.random(5).astype(np.float32)
    controls = (
        np.asarray([1.0, 0.0, 2.0, 0.7, 1.0], np.float32),
        np.asarray([0, 3, 2, 0, 4], np.int32),  # the first row keeps all: its mates' sorting must not reach it
        np.asarray([1.0, 1.0, 0.9, 0.5, 0.7], np.float32),
    )

    together = to_numpy(sample(logits, uniform, *controls))

    alone = [int(to_numpy(sample(*(value[i : i + 1] for value in (logits, uniform, *controls))))[0]) for i in range(5)]
    assert together.tolist() == alone
    assert len(set(alone)) > 1
    assert together.dtype == np.int32


# ---- Normal numbers -------------------------------------------------------------------------------------------------


def test_random_normal_has_the_moments_of_a_standard_normal():
    x = to_numpy(random_normal((300, 401), 7, np.uint32(3), 1)).astype("float64")

    assert x.shape == (300, 401)
    for power, expected in ((1, 0), (2, 1), (3, 0), (4, 3)):
        assert (x**power).mean() == pytest.approx(expected, abs=0.05)
    assert abs(np.corrcoef(x[:-1].ravel(), x[1:].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize("other", [(8, 3, 1), (7, 4, 1), (7, 3, 2)])
def test_random_normal_is_decided_by_seed_step_and_stream(other):
    def draw(seed, step, stream):
        return to_numpy(random_normal((50, 40), seed, np.uint32(step), stream))

    np.testing.assert_array_equal(draw(7, 3, 1), draw(7, 3, 1))
    assert abs(np.corrcoef(draw(7, 3, 1).ravel(), draw(*other).ravel())[0, 1]) < 0.08
