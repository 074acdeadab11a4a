"""What `score` on the command line calls."""

import math

import numpy as np
import pytest

from components import scorer
from components.tasks.likelihood import evaluate
from components.tasks.likelihood import scorer as evaluators_scorer
from components.trainer.backend import compile_inference
from pipeline.errors import UsageError
from tests.components.exporter import exported
from tests.components.exporter.reference import log_softmax, read
from tests.testing import stream_of

TEXTS = ["", "abc", "é→\n🙂 cab" * 40]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def scores(model):
    return scorer.Scorer(model.saved_model)


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_score_equals_the_evaluator(model, scores, text):
    vocabulary = model.tokenizer
    stream = stream_of([vocabulary.encode(text)], vocabulary.end)
    score = compile_inference(model.model, evaluators_scorer(model.model))
    expected = evaluate(stream, vocabulary.end, score, model.model.initial_states).metrics(len(text) + 1)

    scored = scores.score(text)

    assert scored["tokens"] == expected["tokens"] == len(text) + 1
    assert scored["nats"] == pytest.approx(expected["nats"], abs=1e-5)
    assert scored["bits_per_char"] == pytest.approx(expected["nats"] / math.log(2), abs=2e-5)
    assert scored["perplexity"] == pytest.approx(math.exp(expected["nats"]), rel=1e-4)


@pytest.mark.parametrize("text", [*TEXTS, "ab?c" * 64, "ab?c" * 64 + "a"], ids=len)
def test_tokens_equal_the_network(model, scores, text):
    end, names = model.tokenizer.end, model.tokenizer.tokens
    ids = [end, *model.tokenizer.encode(text), end]
    logits, _ = read(model, ids[:-1])

    tokens = list(scores.tokens(text))

    assert [token.token for token in tokens] == [names[i] for i in ids[1:]]
    for token, log_p, own in zip(tokens, log_softmax(logits), ids[1:], strict=True):
        assert token.log_prob == pytest.approx(log_p[own], abs=1e-5)
        assert token.p == pytest.approx(math.exp(log_p[own]), rel=1e-4)
        assert token.bits == pytest.approx(-log_p[own] / math.log(2), abs=1e-4)
        order = np.argsort(-log_p, kind="stable").tolist()
        assert token.rank == order.index(own) + 1
        other = next(i for i in order if i != own)
        assert token.alternative == names[other]
        assert token.alternative_p == pytest.approx(math.exp(log_p[other]), rel=1e-4)
    score = scores.score(text)
    assert sum(token.log_prob for token in tokens) == pytest.approx(-score["nats"] * score["tokens"], rel=1e-5)


def test_tokens_of_a_long_text_come_before_all_of_it_was_read(scores, monkeypatch):
    calls = []
    signature = scores._signatures["next_log_probs"]
    monkeypatch.setitem(
        scores._signatures,
        "next_log_probs",
        lambda **inputs: calls.append(inputs["ids"].shape[1]) or signature(**inputs),
    )

    tokens = scores.tokens("ab" * 500)
    next(tokens)

    assert calls == [256]
    assert sum(1 for _ in tokens) == 1000
    assert calls == [256, 256, 256, 233]


def test_total_weighs_each_text_by_its_tokens():
    texts = ["a", "abcd"]
    scores = [{"nats": 1.0, "tokens": 2}, {"nats": 2.0, "tokens": 5}]

    together = scorer.total(scores, texts)

    assert together["tokens"] == 7
    assert together["nats"] == pytest.approx(12 / 7)
    assert together["bits_per_char"] == pytest.approx(12 / 7 / math.log(2))


def test_score_of_a_served_folder_uses_its_newest_version(model, scores, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"graph")  # older, and no model at all
    (tmp_path / "2").symlink_to(model.saved_model)

    assert scorer.Scorer(tmp_path).score("abc") == scores.score("abc")


def test_scorer_without_a_model_raises_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--model"):
        scorer.Scorer(tmp_path)
