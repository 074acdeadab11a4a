"""The likelihood of a token stream: the same number as reading each document on its own, however it is batched."""

import math

import numpy as np
import pytest

from components.tasks.likelihood import Likelihood, deal, evaluate, probabilities, scorer
from components.trainer.backend import compile_inference
from tests.testing import document_nats, forward, random_model, stream_of, to_numpy

END, VOCABULARY, UNITS = 0, 6, 5
LENGTHS = [3, 0, 17, 1, 0, 70, 4]
RANDOM = np.random.default_rng(5)
DOCUMENTS = [RANDOM.integers(1, VOCABULARY, length).tolist() for length in LENGTHS]
STREAM = stream_of(DOCUMENTS, END)


@pytest.fixture(scope="module")
def model():
    return random_model(VOCABULARY, UNITS, layers=2)


@pytest.fixture(scope="module")
def expected(model):
    """A float64 loop over documents, without windows, batches or resets."""
    return [document_nats(model.get_weights(), document, END) for document in DOCUMENTS]


@pytest.fixture(scope="module")
def score(model):
    return compile_inference(model, scorer(model))


@pytest.mark.parametrize(("rows", "window_length"), [(1, 64), (3, 2), (64, 64), (2, 1), (5, 1000)])
def test_evaluate_any_rows_and_window_length_equals_each_document_alone(model, score, expected, rows, window_length):
    result = evaluate(STREAM, END, score, model.initial_states, rows, window_length)

    np.testing.assert_allclose(result.nats_by_document, expected, rtol=1e-5)
    np.testing.assert_array_equal(result.tokens_by_document, [length + 1 for length in LENGTHS])


def test_evaluate_nats_by_token_add_up_to_their_documents_in_order(model, score):
    result = evaluate(STREAM, END, score, model.initial_states, 3, 5)
    of_document = np.repeat(np.arange(len(LENGTHS)), result.tokens_by_document)
    np.testing.assert_allclose(np.bincount(of_document, result.nats_by_token), result.nats_by_document, rtol=1e-12)
    logits, _ = model(STREAM[None, :-1], model.initial_states(1), reset=STREAM[None, :-1] == END)
    p = to_numpy(logits)[0].astype("float64")
    p -= np.log(np.exp(p).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(result.nats_by_token, -p[np.arange(len(p)), STREAM[1:]], rtol=1e-4)


def test_evaluate_default_batching_equals_each_document_through_the_keras_model(model, score):
    result = evaluate(STREAM, END, score, model.initial_states)

    for nats, document in zip(result.nats_by_document[:3], DOCUMENTS[:3], strict=True):
        tokens = stream_of([document], END)[None]
        p = to_numpy(model(tokens[:, :-1], model.initial_states(1))[0])[0]
        p = np.exp(p.astype("float64")) / np.exp(p.astype("float64")).sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(nats, -np.log(p[np.arange(len(p)), tokens[0, 1:]]).sum(), rtol=1e-5)


def test_evaluate_differs_from_a_stream_read_without_resets(model, score, expected):
    zeros = [np.zeros((1, UNITS))] * 2
    logits, _ = forward(model.get_weights(), STREAM[None, :-1], zeros)
    log_p = logits[0] - np.logaddexp.reduce(logits[0], axis=-1, keepdims=True)
    unreset = -log_p[np.arange(len(log_p)), STREAM[1:]].sum()

    assert abs(unreset - sum(expected)) > 0.1  # guard: the documents of these tests tell the difference


def test_evaluate_stored_integer_type_makes_no_difference(model, score):
    small = evaluate(STREAM.astype("uint8"), END, score, model.initial_states)

    np.testing.assert_array_equal(
        small.nats_by_document, evaluate(STREAM, END, score, model.initial_states).nats_by_document
    )


def test_evaluate_end_with_another_id_equals_each_document_alone(model, score):
    stream = np.where(STREAM == END, 3, np.where(STREAM == 3, END, STREAM)).astype("int32")
    documents = [[END if token == 3 else token for token in document] for document in DOCUMENTS]

    result = evaluate(stream, 3, score, model.initial_states, rows=3)

    expected = [document_nats(model.get_weights(), document, 3) for document in documents]
    np.testing.assert_allclose(result.nats_by_document, expected, rtol=1e-5)


def test_evaluate_reports_progress_up_to_the_whole(model, score):
    shares = []

    evaluate(STREAM, END, score, model.initial_states, 3, 2, shares.append)

    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] == 1.0


def test_likelihood_metrics_weigh_every_token_the_same():
    likelihood = Likelihood(np.asarray([1.0, 14.0]), np.asarray([1, 9]), np.asarray([1.0, *[14 / 9] * 9]))

    metrics = likelihood.metrics(characters=10)

    assert metrics == {
        "nats": pytest.approx(1.5),  # 15 / 10, not the mean (1 + 14 / 9) / 2 of the documents
        "bits_per_char": pytest.approx(1.5 / math.log(2)),
        "perplexity": pytest.approx(math.exp(1.5)),
        "tokens": 10,
    }


def test_likelihood_metrics_bits_are_per_character_whatever_a_token_is():
    likelihood = Likelihood(np.asarray([1.0, 14.0]), np.asarray([1, 9]), np.asarray([1.0, *[14 / 9] * 9]))

    metrics = likelihood.metrics(characters=40)

    assert metrics["bits_per_char"] == pytest.approx(15 / 40 / math.log(2))
    assert metrics["nats"] == pytest.approx(1.5)


def test_likelihood_metrics_hopeless_model_has_a_finite_perplexity():
    metrics = Likelihood(np.asarray([5000.0]), np.asarray([2]), np.asarray([2500.0, 2500.0])).metrics(characters=2)

    assert metrics["nats"] == 2500
    assert math.isfinite(metrics["perplexity"])


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_deal_gives_every_document_to_one_row(rows):
    dealt = deal(np.asarray([5, 1, 9, 3, 3, 1]), rows)

    assert len(dealt) == rows
    assert sorted(np.concatenate(dealt).tolist()) == [0, 1, 2, 3, 4, 5]


def test_deal_makes_rows_about_equally_long():
    lengths = np.asarray([5, 1, 9, 3, 3, 1])

    dealt = deal(lengths, 2)

    assert [int(lengths[row].sum()) for row in dealt] == [11, 11]


def test_probabilities_equal_softmax_from_a_zero_state(model):
    tokens = STREAM[:6]  # "<end> c c c <end> <end>": resets inside

    p = probabilities(model, tokens, END)

    logits, _ = forward(model.get_weights(), tokens[None], [np.zeros((1, UNITS))] * 2, tokens[None] == END)
    expected = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    np.testing.assert_allclose(p[4], p[0], rtol=1e-6)  # both after an `<end>` on a zero state
