"""Encoders against loops in NumPy, row by row at each row's own length."""

import numpy as np
import pytest

from components.tasks.encoder import Encoder, pool, valid
from tests.testing import randomise, to_numpy

LENGTHS = np.array([5, 2, 7, 1], "int32")
TIMESTEPS, FEATURES, UNITS, VOCABULARY, WIDTH = 7, 3, 4, 6, 5
MEAN, STD = [0.5, -1.0, 2.0], [2.0, 0.5, 1.5]
NUMBERS = {"vocabulary_size": None, "embedding": None, "shape": [FEATURES], "mean": MEAN, "std": STD}
TOKENS = {"vocabulary_size": VOCABULARY, "embedding": WIDTH}
ONE_HOT = {"vocabulary_size": VOCABULARY, "embedding": None}


def numbers(seed=0):
    return np.random.default_rng(seed).normal(size=(len(LENGTHS), TIMESTEPS, FEATURES)).astype("float32")


def tokens(seed=0):
    return np.random.default_rng(seed).integers(0, VOCABULARY, (len(LENGTHS), TIMESTEPS)).astype("int32")


def made(kind, inputs, layers=2, **arguments):
    encoder = Encoder(kind, inputs, UNITS, layers, **arguments)
    randomise(encoder, seed=3)
    return encoder


def named(encoder):
    return {variable.path: to_numpy(variable) for variable in encoder.weights}


def read(encoder, inputs):
    """x_t of every row, by hand."""
    weights = encoder.get_weights()
    if inputs.dtype == "int32":
        table = weights[0] if encoder.reader.table is not None else np.eye(VOCABULARY)
        return table[inputs]
    return (inputs - np.asarray(MEAN)) / np.asarray(STD)


def run(x, kernel, recurrent_kernel, bias):
    """h_1 … h_T of one row."""
    state, states = np.zeros(len(bias)), []
    for row in x:
        state = np.tanh(row @ kernel + state @ recurrent_kernel + bias)
        states.append(state)
    return np.stack(states)


@pytest.mark.parametrize("inputs", [NUMBERS, TOKENS, ONE_HOT], ids=["numbers", "table", "one-hot"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_rnn_encoder_equals_rows_read_alone_at_their_own_length(inputs, bidirectional):
    encoder = made("rnn", inputs, bidirectional=bidirectional)
    given = numbers() if inputs is NUMBERS else tokens()

    encoded = encoder(given, LENGTHS)

    weights = encoder.get_weights()[1 if inputs is TOKENS else 0 :]
    for row, length in enumerate(LENGTHS):
        x = read(encoder, given)[row, :length]
        last = None
        for layer in range(2):
            own = weights[3 * layer * (1 + bidirectional) :]
            forward = run(x, *own[:3])
            if bidirectional:
                backward = run(x[::-1], *own[3:6])[::-1]
                last = np.concatenate([forward[-1], backward[0]])
                x = np.concatenate([forward, backward], axis=-1)
            else:
                x, last = forward, forward[-1]
        np.testing.assert_allclose(to_numpy(encoded.sequences)[row, :length], x, atol=2e-6)
        np.testing.assert_allclose(to_numpy(encoded.last)[row], last, atol=2e-6)
    whole = encoder(given)
    assert np.abs(to_numpy(whole.last)[1] - to_numpy(encoded.last)[1]).max() > 1e-3  # guard: lengths matter


@pytest.mark.parametrize("kind", ["rnn", "positions", "mean"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_encoder_with_padding_equals_each_row_without_it(kind, pooling):
    encoder, given = made(kind, NUMBERS), numbers()
    given[np.arange(TIMESTEPS) >= LENGTHS[:, None]] = 1e3  # what padding holds is of no consequence

    padded = to_numpy(pool(encoder(given, LENGTHS), pooling))

    for row, length in enumerate(LENGTHS):
        alone = to_numpy(pool(encoder(given[row : row + 1, :length]), pooling))[0]
        np.testing.assert_allclose(padded[row], alone, atol=1e-5)
    assert np.abs(padded[0] - padded[1]).max() > 1e-3


def test_positions_encoder_knows_no_relation_between_positions():
    encoder, given = made("positions", NUMBERS), numbers()
    changed = given.copy()
    changed[:, 0] += 1

    before, after = (to_numpy(encoder(each, LENGTHS).sequences) for each in (given, changed))

    np.testing.assert_array_equal(before[:, 1:], after[:, 1:])
    assert np.abs(before[:, 0] - after[:, 0]).max() > 1e-2
    weights, x = encoder.get_weights(), read(encoder, given)
    expected = np.tanh(np.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3])
    np.testing.assert_allclose(before, expected, atol=1e-5)


def test_mean_encoder_knows_no_order():
    encoder, given = made("mean", TOKENS, layers=1), tokens()
    mixed = given.copy()
    mixed[2] = np.random.default_rng(5).permutation(given[2])
    assert (mixed[2] != given[2]).any()

    before, after = (to_numpy(encoder(each, LENGTHS).last) for each in (given, mixed))

    np.testing.assert_allclose(before, after, atol=1e-6)
    table, kernel, bias = encoder.get_weights()
    for row, length in enumerate(LENGTHS):
        expected = np.tanh(table[given[row, :length]].mean(axis=0) @ kernel + bias)
        np.testing.assert_allclose(before[row], expected, atol=1e-6)


@pytest.mark.parametrize("wanted", [4, 9])
def test_concatenate_encoder_gives_each_position_weights_of_its_own(wanted):
    encoder, given = made("concatenate", NUMBERS, layers=1, timesteps=wanted), numbers()

    found = to_numpy(encoder(given, LENGTHS).last)

    kernel, bias = encoder.get_weights()
    x = read(encoder, given)
    for row, length in enumerate(LENGTHS):
        flat = np.zeros((wanted, FEATURES))
        kept = min(length, wanted)
        flat[:kept] = x[row, :kept]
        np.testing.assert_allclose(found[row], np.tanh(flat.reshape(-1) @ kernel + bias), atol=2e-6)


def test_encoder_reads_each_frame_by_the_same_image_network():
    inputs = {"vocabulary_size": None, "embedding": 6, "shape": [8, 6, 2], "mean": [100.0], "std": [50.0]}
    encoder = made("positions", inputs, layers=1)
    frames = np.random.default_rng(1).integers(0, 256, (2, 3, 8, 6, 2)).astype("uint8")

    sequences = to_numpy(encoder(frames, np.array([3, 2], "int32")).sequences)

    network = encoder.reader.frames
    for row in range(2):
        for t in range(3):
            vector = to_numpy(network(((frames[row, t].astype("float32") - 100) / 50)[None]))
            kernel, bias = encoder.get_weights()[-2:]
            np.testing.assert_allclose(sequences[row, t], np.tanh(vector @ kernel + bias)[0], atol=1e-5)


def test_directions_and_layers_start_with_different_weights():
    encoder = Encoder("rnn", NUMBERS, UNITS, 2, bidirectional=True, seed=4)

    kernels = [to_numpy(variable) for variable in encoder.weights if variable.shape == (UNITS, UNITS)]

    assert len(kernels) == 4
    for i, one in enumerate(kernels):
        assert all(np.abs(one - other).max() > 1e-3 for other in kernels[i + 1 :])
    again = Encoder("rnn", NUMBERS, UNITS, 2, bidirectional=True, seed=4)
    for one, other in zip(encoder.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_pool_of_a_row_without_timesteps_is_zero():
    encoder = made("rnn", NUMBERS)
    encoded = encoder(numbers(), np.array([0, 2, 7, 1], "int32"))

    for how in ("last", "mean", "max"):
        np.testing.assert_array_equal(to_numpy(pool(encoded, how))[0], 0)
        assert np.abs(to_numpy(pool(encoded, how))[1]).max() > 1e-3


def test_valid_marks_positions_before_the_length():
    np.testing.assert_array_equal(to_numpy(valid(np.array([2, 0]), 3)), [[True, True, False], [False] * 3])


def test_encoder_config_round_trip_builds_the_same_weights():
    encoder = Encoder("rnn", NUMBERS, UNITS, 2, bidirectional=True, input_dropout=0.1, recurrent_dropout=0.2, seed=7)

    again = Encoder.from_config(encoder.get_config())

    assert again.get_config() == encoder.get_config()
    for one, other in zip(encoder.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
