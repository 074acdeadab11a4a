"""What `sample` and `score` on the command line call."""

import functools
import math

import pytest

from components import sampler
from components.tasks.catalogue import EXAMPLE_TASKS
from components.tasks.likelihood import evaluate, scorer
from components.trainer.backend import compile_inference
from pipeline.errors import UsageError
from tests.components.exporter import exported
from tests.testing import stream_of

PROMPT = "ab"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture
def _load_once(monkeypatch):
    """Each call loads the model; the tests that make many need it once."""
    monkeypatch.setattr(sampler, "load_signatures", _loaded)


_loaded = functools.cache(sampler.load_signatures)


# ---- Which model ----------------------------------------------------------------------------------------------------


def make_version(folder):
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")


def test_version_folder_takes_the_newest_integer(tmp_path):
    for name in ("2", "9", "10", "99x", ".incoming-3"):
        make_version(tmp_path / name)
    (tmp_path / "11").mkdir()  # holds no model

    assert sampler.version_folder(tmp_path) == tmp_path / "10"


def test_version_folder_of_a_version_is_itself(tmp_path):
    make_version(tmp_path / "1")

    assert sampler.version_folder(tmp_path / "1") == tmp_path / "1"


@pytest.mark.parametrize(
    ("ask", "name"), [(sampler.sample, "generate"), (functools.partial(sampler.score, text="a"), "score")]
)
@pytest.mark.parametrize(("signature", "task"), [("tag", "tagging"), ("predict", "regression_sequence")])
def test_model_of_another_task_is_refused_naming_task_and_signature(monkeypatch, tmp_path, ask, name, signature, task):
    monkeypatch.setattr(sampler, "load_signatures", lambda model: {"serving_default": None, signature: None})

    with pytest.raises(UsageError, match=f"with the signature '{name}'.*of the task {task}, whose.* is '{signature}'"):
        ask(model=tmp_path)


def test_tasks_of_signatures_are_those_of_the_catalogue():
    assert {model.signature: task for task, model in EXAMPLE_TASKS.items()} == sampler.TASKS


def test_version_folder_without_a_model_raises_naming_it(tmp_path):
    with pytest.raises(UsageError, match=rf"--model must be .*{tmp_path.name}.*holds no saved_model\.pb"):
        sampler.version_folder(tmp_path)


def test_version_folder_that_does_not_exist_raises_naming_it(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere, which is no folder"):
        sampler.version_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("function", [lambda path: sampler.sample(path), lambda path: sampler.score(path, "a")])
def test_sampler_without_a_model_raises_usage_error(tmp_path, function):
    with pytest.raises(UsageError, match="--model"):
        function(tmp_path)


# ---- Sampling -------------------------------------------------------------------------------------------------------


@pytest.fixture
def seed(model, _load_once):
    """A seed whose text takes more than two pieces of a stream."""
    texts = sampler.sample(model.saved_model, PROMPT, length=60, temperature=4.0, seed=0, num=200)
    return max(range(200), key=lambda row: len(texts[row]))


def test_sample_streamed_pieces_join_to_the_text_of_one_call(model, seed):
    (whole,) = sampler.sample(model.saved_model, PROMPT, length=60, temperature=4.0, seed=seed)
    pieces = []

    (streamed,) = sampler.sample(model.saved_model, PROMPT, length=60, temperature=4.0, seed=seed, stream=pieces.append)

    assert streamed == whole
    assert "".join(pieces) == whole
    assert pieces[0] == PROMPT
    assert len(pieces) > 3  # guard: prompt and at least three pieces


def test_sample_length_limits_a_stream(model, seed):
    pieces = []

    sampler.sample(model.saved_model, PROMPT, length=18, temperature=4.0, seed=seed, stream=pieces.append)

    assert [len(piece) for piece in pieces] == [len(PROMPT), 16, 2]


@pytest.mark.usefixtures("_load_once")
def test_sample_same_seed_gives_the_same_texts(model):
    first, again, other = (
        sampler.sample(model.saved_model, PROMPT, length=20, temperature=3.0, seed=seed, num=4) for seed in (3, 3, 40)
    )

    assert first == again
    assert first != other


@pytest.mark.usefixtures("_load_once")
def test_sample_num_texts_have_the_seeds_that_follow(model):
    texts = sampler.sample(model.saved_model, PROMPT, length=20, temperature=3.0, seed=3, num=3)

    (second,) = sampler.sample(model.saved_model, PROMPT, length=20, temperature=3.0, seed=4)
    assert len(texts) == 3
    assert texts[1] == second
    assert len(set(texts)) > 1


@pytest.mark.usefixtures("_load_once")
def test_sample_greedy_does_not_depend_on_the_seed(model):
    first, second = (sampler.sample(model.saved_model, "é", length=9, greedy=True, seed=seed) for seed in (1, 2))

    assert first == second


@pytest.mark.usefixtures("_load_once")
def test_sample_length_zero_returns_the_prompt(model):
    assert sampler.sample(model.saved_model, PROMPT, length=0, seed=1) == [PROMPT]


# ---- Scoring --------------------------------------------------------------------------------------------------------

TEXTS = ["", "abc", "é→\n🙂 cab" * 40]


@pytest.mark.usefixtures("_load_once")
@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_score_equals_the_evaluator(model, text):
    vocabulary = model.tokenizer
    stream = stream_of([vocabulary.encode(text)], vocabulary.end)
    score = compile_inference(model.model, scorer(model.model))
    expected = evaluate(stream, vocabulary.end, score, model.model.initial_states).metrics(len(text) + 1)

    scored = sampler.score(model.saved_model, text)

    assert scored["tokens"] == expected["tokens"] == len(text) + 1
    assert scored["nats"] == pytest.approx(expected["nats"], abs=1e-5)
    assert scored["bits_per_char"] == pytest.approx(expected["nats"] / math.log(2), abs=2e-5)
    assert scored["perplexity"] == pytest.approx(math.exp(expected["nats"]), rel=1e-4)


def test_score_of_a_served_folder_uses_its_newest_version(model, tmp_path):
    make_version(tmp_path / "1")  # older, and no model at all
    (tmp_path / "2").symlink_to(model.saved_model)

    assert sampler.score(tmp_path, "abc") == sampler.score(model.saved_model, "abc")


# ---- The other tokenizers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["byte", "bpe", "word"])
def test_sample_of_any_tokenizer_is_text_and_streams_the_same(kind, tmp_path_factory):
    other = exported.of_kind(tmp_path_factory.getbasetemp(), kind)
    texts = [sampler.sample(other.saved_model, "a bé", length=40, seed=seed) for seed in range(5)]
    assert all(text.startswith("a bé") for (text,) in texts)
    assert kind == "word" or any("\ufffd" in text for (text,) in texts)  # guard: parts of characters were written
    for seed, text in enumerate(texts):
        pieces = []
        assert sampler.sample(other.saved_model, "a bé", length=40, seed=seed, stream=pieces.append) == text
        assert "".join(pieces) == text[0]
