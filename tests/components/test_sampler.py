"""What `sample` on the command line calls."""

import functools

import pytest

from components import sampler
from pipeline.errors import UsageError
from tests.components.exporter import exported

PROMPT = "ab"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture(autouse=True)
def _load_once(monkeypatch):
    """Each call loads the model; these tests need it once."""
    monkeypatch.setattr(sampler, "ServedLanguageModel", _loaded)


_loaded = functools.cache(sampler.ServedLanguageModel)


def texts(*arguments, **options):
    return [sample.text for sample in sampler.sample(*arguments, **options).samples]


def test_sample_without_a_model_raises_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--model"):
        sampler.sample(tmp_path)


def test_sample_same_seed_gives_the_same_texts(model):
    first, again, other = (
        texts(model.saved_model, PROMPT, length=20, temperature=3.0, seed=seed, num=4) for seed in (3, 3, 40)
    )

    assert first == again
    assert first != other


def test_sample_num_texts_have_the_seeds_that_follow(model):
    written = sampler.sample(model.saved_model, PROMPT, length=20, temperature=3.0, seed=3, num=3).samples

    (second,) = texts(model.saved_model, PROMPT, length=20, temperature=3.0, seed=4)
    assert [sample.seed for sample in written] == [3, 4, 5]
    assert written[1].text == second
    assert len({sample.text for sample in written}) > 1


def test_sample_without_a_seed_draws_one_that_can_be_used_again(model):
    first, second = (
        sampler.sample(model.saved_model, PROMPT, length=40, min_length=40, temperature=2.0).samples[0] for _ in "ab"
    )

    assert first.seed != second.seed
    assert first.text != second.text
    again = texts(model.saved_model, PROMPT, length=40, min_length=40, temperature=2.0, seed=first.seed)
    assert again == [first.text]


def test_sample_greedy_does_not_depend_on_the_seed(model):
    first, second = (texts(model.saved_model, "é", length=9, greedy=True, seed=seed) for seed in (1, 2))

    assert first == second


def test_sample_length_zero_returns_the_prompt(model):
    written = sampler.sample(model.saved_model, PROMPT, length=0, seed=1).samples

    assert [(sample.text, sample.continuation, sample.tokens) for sample in written] == [(PROMPT, "", 0)]


def test_sample_tells_how_each_text_ended(model):
    long = sampler.sample(model.saved_model, PROMPT, length=30, min_length=30, seed=1).samples[0]
    circle = sampler.sample(
        model.saved_model, PROMPT, length=200, min_length=200, greedy=True, repetition_stop=9
    ).samples[0]
    ended = sampler.sample(model.saved_model, PROMPT, length=200, seed=0, num=30).samples

    assert (long.tokens, long.finished, long.repeated) == (30, False, False)
    assert (circle.finished, circle.repeated) == (False, True)
    assert any(sample.finished for sample in ended)
    assert all(sample.log_prob < 0 for sample in (long, *ended))


def test_samples_know_how_fast_they_came(model):
    written = sampler.sample(model.saved_model, PROMPT, length=30, min_length=30, seed=1, num=2)

    assert written.seconds > 0
    assert written.characters_per_second == pytest.approx(60 / written.seconds)


# ---- Streams --------------------------------------------------------------------------------------------------------


def streamed(*arguments, **options):
    pieces = []
    written = sampler.sample(*arguments, **options, stream=lambda number, piece: pieces.append((number, piece)))
    return pieces, [sample.text for sample in written.samples]


def test_sample_streamed_pieces_join_to_the_text(model):
    options = {"length": 200, "min_length": 200, "temperature": 4.0, "seed": 1}

    pieces, written = streamed(model.saved_model, PROMPT, **options)

    assert "".join(piece for _, piece in pieces) == written[0]
    assert pieces[0] == (0, PROMPT)
    assert len(pieces) >= 4  # guard: it came in parts
    assert written == texts(model.saved_model, PROMPT, **options)


def test_sample_streams_texts_one_after_the_other(model):
    options = {"length": 90, "temperature": 4.0, "seed": 1, "num": 9}

    pieces, written = streamed(model.saved_model, PROMPT, **options)

    numbers = [number for number, _ in pieces]
    assert numbers == sorted(numbers)
    assert ["".join(piece for at, piece in pieces if at == number) for number in range(9)] == written
    assert written == texts(model.saved_model, PROMPT, **options)


def test_sample_streams_an_empty_prompt_too_so_that_each_text_begins(model):
    pieces, _ = streamed(model.saved_model, "", length=0, num=3)

    assert pieces == [(0, ""), (1, ""), (2, "")]
