"""The signature `generate`, used in a process that imports only TensorFlow, against a loop over `step` in NumPy."""

import numpy as np
import pytest

from tests.components.exporter.reference import generated_ids, ids_log_prob, log_softmax, read

PROMPTS = ["", "a", "ab é→\n🙂ca" * 30, "é→", "what? <end>", "🙂", "b" * 40]
PER_ROW = {
    "max_length": [20, 60, 5, 1, 40, 25, 30],
    "temperature": [1.0, 0.5, 2.0, 1.0, 0.0, 0.9, 1.5],
    "top_k": [0, 4, 0, 3, 0, 5, 0],
    "top_p": [1.0, 1.0, 0.8, 0.9, 1.0, 0.95, 0.7],
    "seed": [0, 1, -1, 2**40 + 3, 4, 5, 2**31],
}


def continuation_log_prob(model, prompt, continuation, finished):
    """ln p of the continuation, and of the `<end>` after it if finished, given the prompt."""
    return ids_log_prob(model, prompt, model.tokenizer.encode(continuation), finished)


def generate_in_numpy(model, prompt, max_length, temperature, top_k, top_p, seed):
    """The text of `generated_ids`, and whether `<end>` came."""
    ids, finished = generated_ids(model, prompt, max_length, temperature, top_k, top_p, seed)
    return prompt + model.tokenizer.decode(ids), finished


@pytest.fixture(scope="module")
def batch(client, full):
    return client.generate(full, PROMPTS, **PER_ROW)


# ---- What is generated ----------------------------------------------------------------------------------------------


def test_generate_with_controls_of_each_row_equals_a_numpy_loop(batch, full):
    for row, prompt in enumerate(PROMPTS):
        controls = {name: values[row] for name, values in PER_ROW.items()}
        text, finished = generate_in_numpy(full, prompt, **controls)
        assert batch["text"][row] == text
        assert bool(batch["finished"][row]) == finished
    assert len({text[len(prompt) :] for text, prompt in zip(batch["text"], PROMPTS, strict=True)}) > 4  # guard


def test_generate_row_of_seven_equals_batch_of_one(client, full, batch):
    for row, prompt in enumerate(PROMPTS):
        alone = client.generate(full, [prompt], **{name: [values[row]] for name, values in PER_ROW.items()})
        assert alone["text"] == [batch["text"][row]]
        assert bool(alone["finished"][0]) == bool(batch["finished"][row])
        np.testing.assert_allclose(alone["log_prob"][0], batch["log_prob"][row], atol=1e-4)


def test_generate_controls_of_shape_one_serve_every_row(client, full):
    controls = {"max_length": 15, "temperature": 0.7, "top_k": 5, "top_p": 0.9, "seed": 3}

    shared = client.generate(full, PROMPTS, **{name: [value] for name, value in controls.items()})

    own = client.generate(full, PROMPTS, **{name: [value] * 7 for name, value in controls.items()})
    assert shared["text"] == own["text"]
    np.testing.assert_array_equal(shared["log_prob"], own["log_prob"])


def test_generate_same_seed_gives_the_same_text_and_another_seed_another(client, end_only):
    controls = {"max_length": [30], "temperature": [4.0], "seed": [11, 12, 11 + 2**32, -11]}

    first, again = (client.generate(end_only, ["lo"] * 4, **controls)["text"] for _ in range(2))

    assert first == again
    assert len(set(first)) == 4  # both halves of the seed count


def test_generate_in_two_calls_equals_one_call(client, full):
    prompts, seeds = ["", "ab é", "?a", "🙂" * 9] * 4, list(range(5, 21))
    controls = {"temperature": [1.5], "top_k": [6]}
    whole = client.generate(full, prompts, max_length=[24], seed=seeds, **controls)

    first = client.generate(full, prompts, max_length=[4], seed=seeds, **controls)
    rows = [row for row in range(len(prompts)) if not first["finished"][row]]
    longer = [first["text"][row] for row in rows]
    second = client.generate(full, longer, max_length=[20], seed=[seeds[row] for row in rows], **controls)

    assert len(rows) > 2  # guard: some rows go on
    for i, row in enumerate(rows):
        assert second["text"][i] == whole["text"][row]
        total = first["log_prob"][row] + second["log_prob"][i]
        assert total == pytest.approx(whole["log_prob"][row], abs=1e-4)


@pytest.mark.parametrize("controls", [{"top_k": [1]}, {"temperature": [0.0]}, {"top_p": [1e-6]}], ids=str)
def test_generate_greedy_takes_the_most_likely_token_that_may_come(client, full, controls):
    texts = client.generate(full, ["", "ab", "→"], max_length=[12], seed=[1, 2, 3], **controls)["text"]

    for prompt, text in zip(["", "ab", "→"], texts, strict=True):
        ids = [full.tokenizer.end, *full.tokenizer.encode(prompt)]
        for _ in range(12):
            logits = read(full, ids)[0][-1]
            logits[full.tokenizer.unsampled] = -np.inf
            if (token := int(logits.argmax())) == full.tokenizer.end:
                break
            ids.append(token)
        assert text[len(prompt) :] == full.tokenizer.decode(ids[1 + len(prompt) :])


# ---- Specials -------------------------------------------------------------------------------------------------------


def test_generate_never_samples_unk_and_pad_though_they_are_most_likely(client, full):
    states = client.call(full, "initial_state", batch_size=1)
    log_probs = client.call(full, "step", token=["<end>"], **states)["log_probs"][0]
    assert np.exp(log_probs[full.tokenizer.unsampled]).sum() > 0.5  # guard

    controls = {"max_length": [100], "temperature": [3.0], "seed": list(range(50))}
    texts = client.generate(full, [""] * 50, **controls)["text"]

    assert set("".join(texts)) == set(full.tokenizer.characters)


def test_generate_end_stops_a_row_and_not_its_mates(client, full):
    outputs = client.generate(full, ["a"] * 40, max_length=[8], seed=list(range(40)))

    finished = outputs["finished"].tolist()
    lengths = [len(text) - 1 for text in outputs["text"]]
    assert 5 < sum(finished) < 35  # guard: both happen
    assert all(length == 8 for length, done in zip(lengths, finished, strict=True) if not done)
    assert len({length for length, done in zip(lengths, finished, strict=True) if done}) > 2


def test_generate_finished_log_prob_with_the_prompts_own_equals_score(client, full):
    prompts = ["a", "é→b", "", "x"] * 8
    outputs = client.generate(full, prompts, max_length=[40], seed=list(range(32)))
    finished = [row for row in range(32) if outputs["finished"][row]]
    assert len(finished) > 8  # guard

    scored = client.call(full, "score", text=[outputs["text"][row] for row in finished])["log_prob"]

    for row, log_prob in zip(finished, scored, strict=True):
        own = continuation_log_prob(full, "", prompts[row], finished=False)
        assert outputs["log_prob"][row] + own == pytest.approx(float(log_prob), abs=1e-4)


def test_generate_log_prob_is_at_temperature_one_whatever_the_controls(batch, full):
    for row, prompt in enumerate(PROMPTS):
        continuation = batch["text"][row][len(prompt) :]
        expected = continuation_log_prob(full, prompt, continuation, bool(batch["finished"][row]))
        assert batch["log_prob"][row] == pytest.approx(expected, abs=1e-4)


# ---- Edges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_length", [0, -3])
def test_generate_max_length_zero_returns_the_prompt(client, full, max_length):
    outputs = client.generate(full, PROMPTS, max_length=[max_length])

    assert outputs["text"] == PROMPTS
    assert outputs["log_prob"].tolist() == [0.0] * 7
    assert not outputs["finished"].any()


def test_generate_max_length_zero_of_one_row_leaves_its_mates_alone(client, full):
    outputs = client.generate(full, ["a", "b"], max_length=[0, 6], seed=[0, 2])

    alone = client.generate(full, ["b"], max_length=[6], seed=[2])
    assert outputs["text"] == ["a", alone["text"][0]]
    assert len(alone["text"][0]) > 1
    assert outputs["log_prob"][0] == 0


def test_generate_unknown_prompt_characters_read_as_unk_and_stay_in_the_text(client, full):
    outputs = client.generate(full, ["a?b", "aßb", "a\U0010ffffb"], max_length=[10], seed=[4])

    endings = {text[3:] for text in outputs["text"]}
    assert [text[:3] for text in outputs["text"]] == ["a?b", "aßb", "a\U0010ffffb"]
    assert len(endings) == 1
    assert generate_in_numpy(full, "a?b", 10, 1.0, 0, 1.0, 4)[0] == outputs["text"][0]


def test_generate_prompt_that_is_not_utf8_is_no_error(client, full):
    outputs = client.call(
        full,
        "generate",
        prompt=[b"a\xff\xfe", b"a\xc3"],
        max_length=[3],
        temperature=[0.0],
        top_k=[0],
        top_p=[1.0],
        seed=[0],
    )

    assert outputs["text"][0].startswith(b"a\xff\xfe")
    assert outputs["text"][1].startswith(b"a\xc3")


def test_generate_special_written_out_in_a_prompt_is_plain_text(client, full):
    outputs = client.generate(full, ["<end>"], max_length=[6], seed=[1])

    assert outputs["text"][0] == generate_in_numpy(full, "<end>", 6, 1.0, 0, 1.0, 1)[0]
    assert len(full.tokenizer.encode("<end>")) == 5


def test_end_only_generate_equals_a_numpy_loop(client, end_only):
    outputs = client.generate(end_only, ["", "h", "hello"] * 3, max_length=[30], seed=list(range(9)))

    for row, prompt in enumerate(["", "h", "hello"] * 3):
        text, finished = generate_in_numpy(end_only, prompt, 30, 1.0, 0, 1.0, row)
        assert (outputs["text"][row], bool(outputs["finished"][row])) == (text, finished)
    assert outputs["finished"].any()


def test_end_only_unknown_prompt_character_reads_as_end_and_keeps_the_state(client, end_only):
    outputs = client.generate(end_only, ["el?h"], max_length=[1], temperature=[0.0])

    logits, _ = read(end_only, [end_only.tokenizer.end, *end_only.tokenizer.encode("el?h")])
    p = log_softmax(logits[-1])
    assert outputs["log_prob"][0] == pytest.approx(p.max(), abs=1e-5)
    anew, _ = read(end_only, [end_only.tokenizer.end, *end_only.tokenizer.encode("h")])
    assert abs(log_softmax(anew[-1]).max() - p.max()) > 1e-3  # guard: it does not open a document
