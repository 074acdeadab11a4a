"""The signatures `sample`, `read`, `write` and `inspect`, used in a process that imports only TensorFlow."""

import numpy as np
import pytest

from components.exporter.writing import LONGEST_PERIOD
from tests.components.exporter.reference import generated_ids, log_softmax, read, repeats_itself

PROMPTS = ["", "a", "ab é→\n🙂ca" * 7, "é→b?", "🙂", "b" * 40]
ROWS = {
    "max_length": [30, 60, 5, 0, 40, 25],
    "temperature": [1.0, 0.5, 2.0, 1.0, 0.0, 0.9],
    "top_k": [0, 4, 0, 3, 0, 5],
    "top_p": [1.0, 1.0, 0.8, 0.9, 1.0, 0.95],
    "seed": [0, 1, -1, 2**40 + 3, 4, 5],
    "min_length": [20, 0, 9, 2, 0, 25],
    "repetition_stop": [0, 2, 0, 1, 6, 3],
}


def row_controls(row):
    return {name: values[row] for name, values in ROWS.items()}


def sample(client, model, prompts, **controls):
    """Calls `sample` with the signature's defaults for what is left out; texts come as strings."""
    inputs = {"max_length": [20], "temperature": [1.0], "top_k": [0], "top_p": [1.0], "seed": [0]}
    inputs |= {"min_length": [0], "repetition_stop": [0], "samples": [1]}
    outputs = client.call(model, "sample", prompt=prompts, **{**inputs, **controls})
    return {**outputs, "text": [text.decode("utf-8") for text in outputs["text"]]}


# ---- sample ---------------------------------------------------------------------------------------------------------


def test_sample_with_controls_of_each_row_equals_a_numpy_loop(client, full):
    outputs = sample(client, full, PROMPTS, **ROWS)

    for row, prompt in enumerate(PROMPTS):
        ids, finished = generated_ids(full, prompt, **row_controls(row))
        assert outputs["text"][row] == prompt + full.tokenizer.decode(ids)
        assert outputs["tokens"][row] == len(ids)
        assert bool(outputs["finished"][row]) == finished
        stop = ROWS["repetition_stop"][row]
        assert bool(outputs["repeated"][row]) == bool(stop and repeats_itself(ids, stop))
    assert outputs["repeated"].any()  # guard
    without = [generated_ids(full, PROMPTS[row], **{**row_controls(row), "min_length": 0})[0] for row in (0, 5)]
    assert [len(ids) for ids in without] < [20, 25]  # guard: min_length is what made them longer


def test_sample_several_texts_of_a_prompt_are_those_of_the_next_seeds(client, full):
    outputs = sample(client, full, ["ab", "é→\n"], max_length=[12, 20], seed=[7, -2], samples=[3])

    alone = client.generate(full, ["ab"] * 3 + ["é→\n"] * 3, max_length=[12] * 3 + [20] * 3, seed=[7, 8, 9, -2, -1, 0])
    assert outputs["text"] == alone["text"]
    np.testing.assert_allclose(outputs["log_prob"], alone["log_prob"], atol=1e-5)
    assert len(set(outputs["text"])) > 4


def test_sample_text_longer_than_a_block_of_random_numbers_equals_a_numpy_loop(client, full):
    controls = {"max_length": 200, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3, "min_length": 190}

    outputs = sample(client, full, ["a"], **{name: [value] for name, value in controls.items()})

    ids, _ = generated_ids(full, "a", **controls)
    assert outputs["text"] == ["a" + full.tokenizer.decode(ids)]
    assert len(ids) >= 190


def test_sample_defaults_let_a_client_send_only_the_prompt(client, full):
    defaults = client.ask("defaults", str(full.saved_model), "sample")

    inputs = client.ask("describe", str(full.saved_model))["sample"][0]
    assert set(inputs) - set(defaults) == {"prompt"}
    assert {name: defaults[name].tolist() for name in ("min_length", "repetition_stop", "samples")} == {
        "min_length": [0],
        "repetition_stop": [0],
        "samples": [1],
    }


# ---- read and write -------------------------------------------------------------------------------------------------


def opened(client, model, controls):
    """The carry of rows that have read nothing yet."""
    rows = len(controls["seed"])
    states = client.call(model, "initial_state", batch_size=rows)
    return {
        **states,
        "token": [model.tokenizer.end] * rows,
        "position": [0] * rows,
        "left": controls["max_length"],
        "banned": controls["min_length"],
        "recent": np.full((rows, LONGEST_PERIOD), -1),
        "repeats": np.zeros((rows, LONGEST_PERIOD)),
    }


def write_all(client, model, prompts, steps, controls):
    """Continues prompts by calls of `write` alone, `steps` steps each: ids and whether `<end>` came, for each row."""
    how = {name: controls[name] for name in ("temperature", "top_k", "top_p", "seed", "repetition_stop")}
    waiting = [model.tokenizer.encode(prompt).tolist() for prompt in prompts]
    carry = opened(client, model, controls)
    ids = [[] for _ in prompts]
    ended = np.zeros(len(prompts), bool)
    while any(waiting) or np.any(np.asarray(carry["left"]) > 0):
        now, waiting = [rest[:steps] for rest in waiting], [rest[steps:] for rest in waiting]
        # A row whose prompt is not read yet must not write.
        left = np.asarray(carry["left"])
        held = np.asarray([bool(rest) for rest in waiting])
        given = [row + [0] * (steps - len(row)) for row in now]
        counts = [len(row) for row in now]
        outputs = client.call(
            model, "write", **{**carry, **how, "left": np.where(held, 0, left)}, given=given, given_count=counts
        )
        for row, tokens in enumerate(outputs["tokens"]):
            ids[row] += tokens[counts[row] : counts[row] + outputs["count"][row]].tolist()
        ended |= outputs["ended"]
        carry = {name: outputs[name] for name in carry}
        carry["left"] = np.where(held, left, carry["left"])
    return ids, ended, carry


@pytest.mark.parametrize("steps", [1, 7, 64])
def test_write_in_pieces_of_any_size_equals_a_numpy_loop(client, full, steps):
    ids, ended, _ = write_all(client, full, PROMPTS, steps, ROWS)

    for row, prompt in enumerate(PROMPTS):
        assert (ids[row], bool(ended[row])) == generated_ids(full, prompt, **row_controls(row))


def test_write_leaves_the_carry_of_a_row_that_is_done_where_it_ended(client, full):
    controls = {name: values[:2] for name, values in ROWS.items()} | {"max_length": [3, 50], "min_length": [3, 50]}
    controls["repetition_stop"] = [0, 0]

    _, _, carry = write_all(client, full, ["ab", "é"], 10, controls)

    ids, _ = generated_ids(full, "ab", **{name: values[0] for name, values in controls.items()})
    _, states = read(full, [full.tokenizer.end, *full.tokenizer.encode("ab"), *ids[:-1]])
    assert carry["token"][0] == ids[-1]
    assert carry["position"][0] == 5
    for layer in range(2):
        np.testing.assert_allclose(carry[f"state_{layer}"][0], states[layer][0], atol=1e-5)
    assert np.abs(carry["state_0"][0] - carry["state_0"][1]).max() > 1e-2  # guard


def test_read_in_pieces_equals_the_network_on_the_prompt(client, full):
    prompts = ["ab é→\n🙂cab é→", "cba→\n\n🙂ab?éab"]
    ids = np.asarray([full.tokenizer.encode(prompt) for prompt in prompts])
    carry = {"token": [full.tokenizer.end] * 2, **client.call(full, "initial_state", batch_size=2)}

    for piece in np.split(ids, [1, 5], axis=1):
        carry = client.call(full, "read", ids=piece, count=[piece.shape[1]] * 2, **carry)

    assert carry["token"].tolist() == ids[:, -1].tolist()
    for row in range(2):
        _, states = read(full, [full.tokenizer.end, *ids[row, :-1]])
        for layer in range(2):
            np.testing.assert_allclose(carry[f"state_{layer}"][row], states[layer][0], atol=1e-5)


def test_next_log_probs_in_pieces_equal_the_network_at_each_place(client, full):
    prompts = ["ab é→\n🙂cab é→", "cba→\n\n🙂ab?éab"]
    ids = np.asarray([full.tokenizer.encode(prompt) for prompt in prompts])
    carry = {"token": [full.tokenizer.end] * 2, **client.call(full, "initial_state", batch_size=2)}

    log_probs = []
    for piece in np.split(ids, [1, 5], axis=1):
        carry = client.call(full, "next_log_probs", ids=piece, **carry)
        log_probs.append(carry.pop("log_probs"))

    assert carry["token"].tolist() == ids[:, -1].tolist()
    for row in range(2):
        logits, states = read(full, [full.tokenizer.end, *ids[row, :-1]])
        np.testing.assert_allclose(np.concatenate(log_probs, axis=1)[row], log_softmax(logits), atol=1e-5)
        for layer in range(2):
            np.testing.assert_allclose(carry[f"state_{layer}"][row], states[layer][0], atol=1e-5)


# ---- inspect --------------------------------------------------------------------------------------------------------


def test_inspect_equals_the_network_at_each_place(client, full):
    texts = ["", "ab é→\n🙂c?", "b"]

    outputs = client.call(full, "inspect", text=texts)

    assert outputs["lengths"].tolist() == [0, 9, 1]
    assert outputs["log_probs"].shape == (3, 10, len(full.tokenizer))
    assert outputs["states"].shape == (3, 10, 2, 7)
    for row, text in enumerate(texts):
        ids = [full.tokenizer.end, *full.tokenizer.encode(text)]
        logits, _ = read(full, ids)
        np.testing.assert_allclose(outputs["log_probs"][row, : len(ids)], log_softmax(logits), atol=1e-5)
        for place in range(len(ids)):
            _, states = read(full, ids[: place + 1])
            for layer in range(2):
                np.testing.assert_allclose(outputs["states"][row, place, layer], states[layer][0], atol=1e-5)
