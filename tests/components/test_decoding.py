"""Greedy and beam search against enumerations and against a search written with Python lists."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops

from components.decoding import beam_search, greedy_search, repeat_rows
from tests.testing import to_numpy

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

VOCABULARY, MAX_LENGTH, BATCH = 5, 4, 6
START, END, PAD, BANNED = 3, 0, 4, 4  # the padding is banned, the start token is a token like others
TOKENS = [1, 2, 3]
HISTORIES = sum(VOCABULARY**t for t in range(MAX_LENGTH + 1))
RULES = ("end_token", "stop_head", "length_head")
LENGTHS = np.array([2, 4, 1, 3, 4, 2], "int32")


# ---- A model that remembers everything ------------------------------------------------------------------------------


class Toy:
    """Random log-probabilities and stop log-odds for each row and each history, which the state numbers."""

    def __init__(self, seed=0, batch=BATCH):
        random = np.random.default_rng(seed)
        logits = 1.5 * random.normal(size=(batch, HISTORIES, VOCABULARY))
        self.log_probs = (logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))).astype("float32")
        self.log_odds = (1.5 * random.normal(size=(batch, HISTORIES))).astype("float32")

    def states(self, rows=None):
        """Nested: the number of the history before the start token, and the row with a vector that is its copy."""
        rows = np.arange(len(self.log_probs), dtype="int32") if rows is None else np.asarray(rows, "int32")
        return [np.full(len(rows), -1, "int32"), (rows, [np.repeat(rows[:, None], 2, axis=1).astype("float32")])]

    def step(self, tokens, states):
        history, (row, [vector]) = states
        history = ops.where(history < 0, 0, history * VOCABULARY + tokens + 1)
        place = row * HISTORIES + ops.minimum(history, HISTORIES - 1)
        log_probs = ops.take(ops.convert_to_tensor(self.log_probs.reshape(-1, VOCABULARY)), place, axis=0)
        log_odds = ops.take(ops.convert_to_tensor(self.log_odds.reshape(-1)), place, axis=0)
        # 0 unless the leaves of the state were gathered together.
        wrong = ops.sum(ops.abs(vector - ops.cast(row, "float32")[:, None]), axis=-1)
        return log_probs - wrong[:, None], log_odds, [history, (row, [vector])]

    def at(self, row, written):
        """log-probabilities, ln s and ln(1 - s) after these tokens, in float64."""
        history = 0
        for token in written:
            history = history * VOCABULARY + token + 1
        odds = float(self.log_odds[row, history])
        return self.log_probs[row, history].astype("float64"), -math.log1p(math.exp(-odds)), -math.log1p(math.exp(odds))

    def search(self, function=beam_search, rows=None, **arguments):
        states = self.states(rows)
        if arguments.get("stop") == "length_head":
            arguments.setdefault("lengths", LENGTHS if rows is None else LENGTHS[np.asarray(rows)])
        common = {"start_token": START, "end_token": END, "pad_token": PAD, "vocabulary": VOCABULARY}
        common |= {"batch": len(states[0]), "max_length": MAX_LENGTH, "banned": (BANNED,)}
        return function(self.step, states, **common | arguments)


@pytest.fixture(scope="module")
def toy():
    return Toy()


def rows_of(decoded):
    """Each row as (tokens without padding, ln p, finished), the shape of everything checked."""
    tokens, lengths, log_prob, finished = map(to_numpy, decoded)
    assert tokens.dtype == lengths.dtype == np.int32
    assert log_prob.dtype == np.float32
    assert finished.dtype == bool
    assert all((row[length:] == PAD).all() for row, length in zip(tokens, lengths, strict=True))
    return [(row[:n].tolist(), p, f) for row, n, p, f in zip(tokens, lengths, log_prob, finished, strict=True)]


def assert_same(found, expected):
    assert [(tokens, bool(finished)) for tokens, _, finished in found] == [(t, bool(f)) for t, _, f in expected]
    np.testing.assert_allclose([p for _, p, _ in found], [p for _, p, _ in expected], rtol=0, atol=5e-6)


# ---- References -----------------------------------------------------------------------------------------------------


def endings(toy, row, written, log_prob, stop):
    """What a sequence can become by one step: (tokens, ln p, whether it ends)."""
    log_probs, ends, goes_on = toy.at(row, written)
    continued = [([*written, token], log_prob + log_probs[token]) for token in TOKENS]
    if stop == "end_token":
        return [*((w, p, False) for w, p in continued), (written, log_prob + log_probs[END], True)]
    if stop == "stop_head":
        return [(w, p + goes_on, False) for w, p in continued] + [(w, p + ends, True) for w, p in continued]
    return [(w, p, len(w) == LENGTHS[row % BATCH]) for w, p in continued]


def score_of(tokens, log_prob, stop, penalty):
    return log_prob / (len(tokens) + (stop == "end_token")) ** penalty


def by_enumeration(toy, row, stop, penalty):
    """The best of all sequences that end, each scored on its own."""
    ended = []
    for length in range(MAX_LENGTH + 1):
        for tokens in itertools.product(TOKENS, repeat=length):
            log_prob = sum(toy.at(row, tokens[:t])[0][token] for t, token in enumerate(tokens))
            if stop == "end_token":
                log_prob += toy.at(row, tokens)[0][END]
                possible = length < MAX_LENGTH
            elif stop == "stop_head":
                log_prob += sum(toy.at(row, tokens[:t])[2] for t in range(length - 1))
                log_prob += toy.at(row, tokens[: length - 1])[1] if length else 0
                possible = length > 0
            else:
                possible = length == LENGTHS[row]
            if possible:
                ended.append((score_of(tokens, log_prob, stop, penalty), list(tokens), log_prob))
    _, tokens, log_prob = max(ended)
    return tokens, log_prob, True


def by_lists(toy, row, stop, penalty, width):
    """Beam search over Python lists, in float64."""
    live, ended = [([], 0.0)], []
    for _ in range(MAX_LENGTH):
        candidates = [c for written, p in live for c in endings(toy, row, written, p, stop)]
        candidates.sort(key=lambda c: -c[1])
        ended += [(w, p) for w, p, ends in candidates[:width] if ends]
        live = [(w, p) for w, p, ends in candidates if not ends][:width]
        if len(ended) >= width or not live:
            break
    if not ended:
        return (*live[0], False)
    return (*max(ended, key=lambda e: score_of(*e, stop, penalty)), True)


def by_greedy_loop(toy, row, stop):
    written, log_prob = [], 0.0
    while len(written) < MAX_LENGTH:
        log_probs, ends, goes_on = toy.at(row, written)
        token = max([*TOKENS, END] if stop == "end_token" else TOKENS, key=lambda token: log_probs[token])
        log_prob += log_probs[token]
        if token == END:
            return written, log_prob, True
        written = [*written, token]
        if stop == "stop_head":
            log_prob += max(ends, goes_on)
            if ends > math.log(0.5):
                return written, log_prob, True
        if stop == "length_head" and len(written) == LENGTHS[row % BATCH]:
            return written, log_prob, True
    return written, log_prob, False


# ---- What is found --------------------------------------------------------------------------------------------------


PENALTIES = np.array([0, 1, 0.7, 1, 0, 1.6], "float32")  # one for each row


@pytest.mark.parametrize("stop", RULES)
def test_beam_search_wide_enough_finds_the_best_of_all_sequences(stop, toy):
    found = rows_of(toy.search(stop=stop, width=200, length_penalty=PENALTIES))

    expected = [by_enumeration(toy, row, stop, PENALTIES[row]) for row in range(BATCH)]
    assert_same(found, expected)
    greedy = [by_greedy_loop(toy, row, stop)[0] for row in range(BATCH)]
    assert greedy != [tokens for tokens, _, _ in expected]  # guard: it takes a search
    assert len({tuple(tokens) for tokens, _, _ in expected}) > 1


@pytest.mark.parametrize("width", [1, 2, 3, 7])
@pytest.mark.parametrize("stop", RULES)
def test_beam_search_equals_a_search_over_lists(stop, width):
    batch = 24
    toy, penalties, lengths = Toy(1, batch), np.tile(PENALTIES, 4), np.tile(LENGTHS, 4)

    found = rows_of(
        toy.search(stop=stop, width=width, length_penalty=penalties, lengths=lengths if stop == "length_head" else None)
    )

    assert_same(found, [by_lists(toy, row, stop, penalties[row], width) for row in range(batch)])
    others = [by_lists(toy, row, stop, penalties[row], 2 if width == 1 else 1) for row in range(batch)]
    assert [tokens for tokens, _, _ in others] != [tokens for tokens, _, _ in found]  # guard: the width matters


def test_length_penalty_is_1_if_none_is_given(toy):
    found = rows_of(toy.search(width=7))

    assert_same(found, [by_lists(toy, row, "end_token", 1.0, 7) for row in range(BATCH)])
    assert [by_lists(toy, row, "end_token", 0.0, 7)[0] for row in range(BATCH)] != [tokens for tokens, _, _ in found]


@pytest.mark.parametrize("stop", RULES)
def test_greedy_search_takes_the_best_token_at_each_step(stop):
    batch = 24
    toy = Toy(2, batch)
    lengths = np.tile(LENGTHS, 4) if stop == "length_head" else None

    found = rows_of(toy.search(greedy_search, stop=stop, lengths=lengths))

    expected = [by_greedy_loop(toy, row, stop) for row in range(batch)]
    assert_same(found, expected)
    finished = {f for _, _, f in expected}
    assert finished == ({True} if stop == "length_head" else {True, False})  # guard: both happened


# ---- Stopping -------------------------------------------------------------------------------------------------------


def counting_step(stop_after):
    """Tokens 1, 2, 3, 1, …, and log-odds that say stop with the token of number `stop_after` of the row."""

    def step(tokens, states):
        count, last = states
        wanted = ops.cast(count % 3 + 1, "int32")
        log_probs = ops.log(0.9 * ops.one_hot(wanted, VOCABULARY, dtype="float32") + 0.02)
        return log_probs, ops.where(count + 1 == last, 40.0, -40.0), [count + 1, last]

    return step, [np.zeros(len(stop_after), "int32"), np.asarray(stop_after, "int32")]


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("stop", ["stop_head", "length_head"])
def test_sequences_stop_exactly_where_they_are_told(stop, width):
    told = np.array([1, 5, 8, 3], "int32")
    step, states = counting_step(told)

    decoded = beam_search(
        step, states, start_token=END, end_token=END, pad_token=PAD, batch=4, vocabulary=VOCABULARY, width=width,
        max_length=8, stop=stop, lengths=told if stop == "length_head" else None,
    )  # fmt: skip

    expected = [[1, 2, 3, 1, 2, 3, 1, 2][:n] for n in told]
    found = rows_of(decoded)
    assert [tokens for tokens, _, _ in found] == expected
    assert all(finished for _, _, finished in found)
    np.testing.assert_allclose([p for _, p, _ in found], told * math.log(0.92), rtol=1e-5)


@pytest.mark.parametrize("stop", ["stop_head", "length_head"])
def test_sequences_that_are_told_to_stop_too_late_are_not_finished(stop):
    step, states = counting_step([9, 2])

    decoded = beam_search(
        step, states, start_token=END, end_token=END, pad_token=PAD, batch=2, vocabulary=VOCABULARY, width=2,
        max_length=4, stop=stop, lengths=np.array([9, 2]) if stop == "length_head" else None,
    )  # fmt: skip

    assert [(tokens, bool(f)) for tokens, _, f in rows_of(decoded)] == [([1, 2, 3, 1], False), ([1, 2], True)]


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("stop", RULES)
def test_end_token_and_banned_tokens_never_come(stop, width):
    toy = Toy(3)
    toy.log_probs[:, :, [BANNED, *([] if stop == "end_token" else [END])]] = -0.01  # by far the most likely ones

    written = {token for tokens, _, _ in rows_of(toy.search(stop=stop, width=width)) for token in tokens}

    assert written
    assert written <= set(TOKENS)


def test_row_that_cannot_go_on_is_empty_and_impossible(toy):
    def step(tokens, states):
        log_probs, log_odds, states = toy.step(tokens, states)
        return ops.where((states[1][0] == 1)[:, None], -float("inf"), log_probs), log_odds, states

    decoded = beam_search(
        step, toy.states(), start_token=START, end_token=END, pad_token=PAD, batch=BATCH, vocabulary=VOCABULARY,
        width=3, max_length=MAX_LENGTH, banned=(BANNED,),
    )  # fmt: skip

    found = rows_of(decoded)
    assert found[1] == ([], -np.inf, False)
    others = [row for row in range(BATCH) if row != 1]
    assert_same([found[row] for row in others], [by_lists(toy, row, "end_token", 1.0, 3) for row in others])


# ---- Width, batch, modes --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("stop", RULES)
def test_active_width_gives_the_result_of_that_width(stop, toy):
    widest = 5
    rows, widths = np.repeat(np.arange(BATCH), widest), np.tile(np.arange(1, widest + 1), BATCH)

    each = rows_of(toy.search(stop=stop, width=widest, rows=rows, active_width=widths))
    one = rows_of(toy.search(stop=stop, width=widest, active_width=np.int32(2)))

    assert_same(each, [by_lists(toy, row, stop, 1.0, width) for row, width in zip(rows, widths, strict=True)])
    assert_same(one, rows_of(toy.search(stop=stop, width=2)))
    assert_same(one, each[1::widest])
    assert [tokens for tokens, _, _ in each[::widest]] != [tokens for tokens, _, _ in one]  # guard: the width matters


def test_active_width_outside_the_range_counts_as_the_nearest(toy):
    found = rows_of(toy.search(width=3, active_width=np.array([0, 9, -1, 4, 1, 3])))

    assert_same(found, [by_lists(toy, row, "end_token", 1.0, width) for row, width in enumerate((1, 3, 1, 3, 1, 3))])


@pytest.mark.parametrize("stop", RULES)
def test_row_does_not_depend_on_its_batch_mates(stop, toy):
    together = rows_of(toy.search(stop=stop, width=3))

    for rows in ([5], [3, 3, 1, 0]):
        found = rows_of(toy.search(stop=stop, width=3, rows=np.asarray(rows)))
        assert found == [together[row] for row in rows]


def run(mode, function, *arrays):
    """Call a function of arrays in a mode of the active backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        unknown = [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in arrays]
        traced = tf.function(function, input_signature=unknown, jit_compile=mode == "compiled")
        return traced(*map(tf.constant, arrays))
    if mode == "traced":
        pytest.skip("only TensorFlow traces without compiling")
    import jax

    return jax.jit(function)(*arrays)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["traced", "compiled"])
@pytest.mark.parametrize("stop", RULES)
def test_compiled_search_of_any_batch_size_equals_the_eager_one(stop, mode, toy):
    eager = rows_of(toy.search(stop=stop, width=3, active_width=np.array([3, 2, 1, 3, 2, 3])))

    def search(history, row, vector, lengths, active_width):
        return beam_search(
            toy.step, [history, (row, [vector])], start_token=START, end_token=END, pad_token=PAD,
            batch=ops.shape(row)[0], vocabulary=VOCABULARY, width=3, max_length=MAX_LENGTH, stop=stop,
            lengths=lengths if stop == "length_head" else None, banned=(BANNED,), active_width=active_width,
        )  # fmt: skip

    history, (row, [vector]) = toy.states()
    found = run(mode, search, history, row, vector, LENGTHS, np.array([3, 2, 1, 3, 2, 3], "int32"))

    assert_same(rows_of(found), eager)


def test_repeat_rows_puts_copies_of_a_row_beside_each_other():
    repeated = to_numpy(repeat_rows(np.array([[1, 2], [3, 4]]), 3))

    np.testing.assert_array_equal(repeated, [[1, 2], [1, 2], [1, 2], [3, 4], [3, 4], [3, 4]])


# ---- Refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"stop": "never"}, ValueError, "beam_search: stop must be one of end_token, stop_head, length_head"),
        ({"width": 0}, ValueError, "width must be 1 or more. Received: width=0"),
        ({"width": 2.0}, TypeError, r"width must be an integer known while tracing. Received: width=2\.0"),
        ({"max_length": 0}, ValueError, "max_length must be 1 or more"),
        ({"banned": (5,)}, ValueError, "a token id must be in 0 … 4. Received: id=5"),
        ({"end_token": -1}, ValueError, "a token id must be in 0 … 4. Received: id=-1"),
        ({"stop": "length_head", "lengths": None}, ValueError, "lengths must come with stop='length_head'"),
        ({"lengths": LENGTHS}, ValueError, "lengths must come with stop='length_head'"),
    ],
)
def test_argument_that_cannot_be_is_refused(arguments, error, text, toy):
    with pytest.raises(error, match=text):
        toy.search(**{"width": 2} | arguments)


def test_step_without_stop_log_odds_is_refused(toy):
    with pytest.raises(ValueError, match="a step must return stop log-odds when a stop head ends sequences"):
        beam_search(
            lambda tokens, states: (toy.step(tokens, states)[0], None, states), toy.states(), start_token=START,
            end_token=END, pad_token=PAD, batch=BATCH, vocabulary=VOCABULARY, width=2, max_length=2, stop="stop_head",
        )  # fmt: skip
