"""Many texts at once: each is the one that it would be alone, by the network in float64, token by token."""

import functools

import numpy as np
import pytest

from components.served.engine import CAPACITY, Engine, _best_length
from components.served.folder import load_signatures
from components.served.language import ServedLanguageModel
from components.served.request import TextRequest
from tests.components.exporter import exported
from tests.components.exporter.reference import generated_ids, ids_log_prob, repeats_itself

LETTERS = list(" \nabcé→🙂?")


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@functools.cache
def served(folder, compiled=False):
    return ServedLanguageModel(folder, compiled)


@pytest.fixture
def engine(full):
    return Engine(served(full.saved_model))


def letters(count, seed=0):
    return "".join(np.random.default_rng(seed).choice(LETTERS, count))


def finish(engine):
    while engine.turn():
        pass


@functools.cache
def expected(model, request):
    """The text, ln p of it, whether `<end>` came, whether it repeats itself, how many tokens."""
    names = ("max_length", "temperature", "top_k", "top_p", "seed", "min_length", "repetition_stop")
    ids, finished = generated_ids(model, request.prompt, **{name: request[name] for name in names})
    log_prob = ids_log_prob(model, request.prompt, ids, finished)
    repeated = bool(request.repetition_stop) and repeats_itself(ids, request.repetition_stop)
    return model.tokenizer.decode(ids), pytest.approx(log_prob, abs=1e-3), finished, repeated, len(ids)


def written(text):
    assert text.done
    return text.take(), text.log_prob, text.finished, text.repeated, text.tokens


# Prompts of all ways of reading: by `write` alone, by `read` in pieces, by both; more than one turn reads.
MIXED = [
    TextRequest(letters(0), 30, 20),
    TextRequest(letters(1), 60, 0, 0.5, 4, 1.0, 1, 2),
    TextRequest(letters(70), 5, 9, 2.0, 0, 0.8, -1),
    TextRequest(letters(300), 40, 40, 0.0, 0, 1.0, 4, 6),
    TextRequest(letters(1000), 25, 25, 0.9, 5, 0.95, 5, 3),
    TextRequest(letters(1500), 33, 0, 1.0, 0, 1.0, 2**40),
    TextRequest(letters(64), 0, 0, seed=7),
    TextRequest(letters(320), 17, 17, seed=8),
]


def test_texts_with_mixed_prompts_and_controls_equal_a_numpy_loop(full, engine):
    texts = [engine.add(request) for request in MIXED]

    finish(engine)

    for text in texts:
        assert written(text) == expected(full, text.request)
        assert text.prompt_tokens == len(full.tokenizer.encode(text.request.prompt))
    assert {text.repeated for text in texts} == {True, False}  # guard
    assert len({text.tokens for text in texts}) > 4  # guard


@pytest.mark.parametrize("request_", MIXED[:5], ids=lambda request: len(request.prompt))
def test_text_alone_equals_a_numpy_loop(full, engine, request_):
    text = engine.add(request_)

    finish(engine)

    assert written(text) == expected(full, request_)


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (47, []),  # by `write`
        (48, [(64, 48)]),
        (70, [(64, 64)]),
        (383, [(256, 256), (64, 64), (64, 63)]),
        (384, [(512, 384)]),
        (1000, [(1024, 1000)]),
        (1500, [(1024, 1024), (512, 476)]),
    ],
)
def test_long_prompt_is_read_in_few_pieces_little_filled_up(full, engine, monkeypatch, length, pieces):
    seen = []
    read = engine._model.read

    def noted(**inputs):
        seen.append((inputs["ids"].shape[1], *inputs["count"]))
        return read(**inputs)

    monkeypatch.setattr(engine._model, "read", noted)
    engine.add(TextRequest(letters(length), 1))
    finish(engine)

    assert seen == pieces


@pytest.mark.parametrize(
    ("remaining", "steps"),
    [
        ([32, 32, 32], 32),
        ([5], 5),  # nobody is left behind it
        ([5, 32], 5),
        ([1] * 40 + [32] * 2, 1),  # forty would wait for two, and others for their places
        ([2] * 10 + [32] * 10, 32),
        ([0, 7], 7),
    ],
)
def test_call_takes_as_many_steps_as_write_most_tokens_a_time(remaining, steps):
    assert _best_length(np.array(remaining, np.int32), 32) == steps
    taken = [np.minimum(remaining, count).sum() / (count + 3) for count in range(1, 33)]  # 3: a call's own cost
    assert taken[steps - 1] == max(taken)


def test_more_texts_than_the_capacity_wait_and_are_written(full, engine):
    requests = [
        TextRequest(letters(i % 5, i), i % 9, i % 7, [1.0, 0.7, 0.0][i % 3], i % 4, 1.0, i)
        for i in range(CAPACITY + 15)
    ]
    texts = [engine.add(request) for request in requests]
    assert (engine.waiting, engine.active) == (CAPACITY + 15, 0)

    engine.turn()
    assert engine.waiting == 15

    finish(engine)
    assert (engine.waiting, engine.active) == (0, 0)
    assert [written(text) for text in texts] == [expected(full, request) for request in requests]


def test_texts_that_join_and_leave_change_no_other(full, engine):
    requests = [TextRequest(letters(i * 40, i), 5 + 11 * (i % 4), 60, seed=i) for i in range(12)]
    texts = []
    for request in requests:
        texts.append(engine.add(request))
        engine.turn()
    assert {text.done for text in texts} == {True, False}  # guard: some left before the last came
    finish(engine)

    assert [written(text) for text in texts] == [expected(full, request) for request in requests]


def test_cancelled_texts_say_no_more_and_change_no_other(full, engine):
    requests = [TextRequest(letters(3, i), 20, 20, seed=i) for i in range(CAPACITY + 3)]
    texts = [engine.add(request) for request in requests]
    engine.cancel(texts[1])  # queued
    engine.turn()
    begun = texts[5].take()
    for number in (5, CAPACITY, CAPACITY + 2):  # active, the one that took a place, queued
        engine.cancel(texts[number])
    finish(engine)

    gone = [1, 5, CAPACITY, CAPACITY + 2]
    assert begun
    assert all(texts[number].done for number in gone)
    assert [texts[number].take() for number in gone[:2]] == ["", ""]
    assert all(text.done for text in texts)
    # Those that took other places among them.
    for number in (0, 2, 4, 6, CAPACITY - 2, CAPACITY - 1, CAPACITY + 1):
        assert written(texts[number]) == expected(full, requests[number])


def test_cancel_of_a_text_that_is_done_does_nothing(engine):
    text = engine.add(TextRequest("ab", 5, 5))
    finish(engine)

    engine.cancel(text)

    assert len(text.take()) == 5


def test_text_that_goes_on_later_equals_one_request(full, engine):
    whole = expected(full, TextRequest("ab", 60, 60, seed=3))

    first = engine.add(TextRequest("ab", 13, 13, seed=3))
    finish(engine)
    mate = engine.add(TextRequest("c", 40, 40, seed=9))
    second = engine.add(TextRequest("", 47, 47, seed=3), first.carry)
    finish(engine)

    assert mate.done
    assert (first.take() + second.take(), first.log_prob + second.log_prob) == whole[:2]


def test_text_that_goes_on_with_a_long_prompt_equals_one_prompt(full, engine):
    prompts = letters(100, 1), letters(400, 2)
    whole = expected(full, TextRequest("".join(prompts), 30, 30, seed=3))

    first = engine.add(TextRequest(prompts[0], 0))
    finish(engine)
    second = engine.add(TextRequest(prompts[1], 30, 30, seed=3), first.carry)
    finish(engine)

    assert written(second) == whole
    alone = expected(full, TextRequest(prompts[1], 30, 30, seed=3))
    assert alone != whole  # guard: what was before matters


def test_going_on_after_the_end_begins_a_new_document(full, engine):
    seed = next(s for s in range(100) if generated_ids(full, "ab", 50, 1.0, 0, 1.0, s)[1])
    first = engine.add(TextRequest("ab", 50, seed=seed))
    finish(engine)
    second = engine.add(TextRequest("c", 30, 30, seed=5), first.carry)
    finish(engine)

    assert first.finished
    assert written(second) == expected(full, TextRequest("c", 30, 30, seed=5))


def test_compiled_and_uncompiled_write_the_same(full):
    results = []
    for compiled in (False, True):
        engine = Engine(served(full.saved_model, compiled))
        texts = [engine.add(request) for request in MIXED[1:5]]
        finish(engine)
        results.append([text.take() for text in texts])

    assert results[0] == results[1]
    assert len(set(results[0])) == 4  # guard


def test_warm_up_leaves_nothing_behind(full, engine):
    engine.warm_up()

    assert (engine.waiting, engine.active) == (0, 0)
    text = engine.add(MIXED[2])
    finish(engine)
    assert written(text) == expected(full, MIXED[2])


# ---- The other tokenizers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow) for kind in ("bpe", "char, NFKC, lower case", "byte", "word")],
)
def test_text_of_any_tokenizer_is_that_of_generate_and_goes_on(kind, tmp_path_factory):
    import tensorflow as tf

    model = exported.of_kind(tmp_path_factory.getbasetemp(), kind)
    generate = load_signatures(model.saved_model)["generate"]
    prompts, seeds = ["", "a bé", "a ", "Ab\n"] * 2, list(range(8))
    controls = {"temperature": [1.0], "top_k": [0], "top_p": [1.0]}
    of_type = {name: tf.constant(value, generate.inputs[name].dtype) for name, value in controls.items()}
    whole = generate(
        prompt=tf.constant(prompts), max_length=tf.constant([40]), seed=tf.constant(seeds, tf.int64), **of_type
    )
    engine = Engine(served(model.saved_model))

    texts = [engine.add(TextRequest(prompt, 40, seed=seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
    firsts = [engine.add(TextRequest(prompt, 11, seed=seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
    finish(engine)
    rests = [
        engine.add(TextRequest("", 40 - text.tokens, seed=text.request.seed), text.carry)
        for text in firsts
        if not text.finished
    ]
    finish(engine)

    expected = [text.decode("utf-8", "replace") for text in whole["text"].numpy()]
    assert [prompt + text.take() for prompt, text in zip(prompts, texts, strict=True)] == expected
    later = iter(rests)
    for number, text in enumerate(firsts):
        joined = prompts[number] + text.take() + ("" if text.finished else next(later).take())
        # A character that the two requests part is lost.
        assert joined == expected[number] or "\ufffd" in joined
    assert rests  # guard
