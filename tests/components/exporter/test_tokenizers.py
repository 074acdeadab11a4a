"""Every kind of tokenizer inside a SavedModel, used by a process with TensorFlow alone: no skew to the Python side."""

import random

import numpy as np
import pytest

from tests.components.exporter import exported
from tests.components.exporter.reference import generated_ids, ids_log_prob
from tests.testing import document_nats

ALPHABET = "aabbcc  \n\té→🙂e\u0301ABÉﬁ\u00a0\u2028\0x,."
random_texts = random.Random(0)
TEXTS = [
    "",
    "a <unk> <end> b <pad>",
    *("".join(random_texts.choices(ALPHABET, k=n)) for n in (1, 3, 10, 40, 40, 300)),
    "🙂\U0010ffff" * 3,
]


# Each is exported first, which takes ten seconds.
@pytest.fixture(
    scope="session",
    params=[
        pytest.param(kind, marks=() if kind in ("char, NFKC, lower case", "bpe") else pytest.mark.slow)
        for kind in exported.OF_EACH_KIND
    ],
)
def model(request, tmp_path_factory):
    return exported.of_kind(tmp_path_factory.getbasetemp(), request.param)


@pytest.mark.slow
def test_tokenize_equals_the_python_tokenizer(client, model):
    outputs = client.call(model, "tokenize", text=TEXTS)
    for row, text in enumerate(TEXTS):
        ids = model.tokenizer.encode(text)
        assert outputs["lengths"][row] == len(ids)
        np.testing.assert_array_equal(outputs["ids"][row, : len(ids)], ids)


def test_tokenize_gives_the_strings_that_step_reads(client, model):
    text = "a abc bé\n🙂?"
    tokens = client.call(model, "tokenize", text=[text])
    state = client.call(model, "initial_state", batch_size=len(tokens["ids"][0]))
    by_step = client.call(model, "step", token=list(tokens["tokens"][0]), **state)
    # Rows that read the same id from the same state give the same; equal ids, equal rows.
    for i, j in np.ndindex(len(tokens["ids"][0]), len(tokens["ids"][0])):
        same = np.array_equal(by_step["log_probs"][i], by_step["log_probs"][j])
        assert same == (tokens["ids"][0, i] == tokens["ids"][0, j])


def test_score_is_that_of_the_tokens(client, model):
    outputs = client.call(model, "score", text=TEXTS)
    weights = model.model.get_weights()
    for row, text in enumerate(TEXTS):
        ids = model.tokenizer.encode(text)
        assert outputs["tokens"][row] == len(ids) + 1
        expected = -document_nats(weights, ids.tolist(), model.tokenizer.end)
        assert outputs["log_prob"][row] == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("prompt", ["", "a bé\n", "ab"])
def test_generate_writes_the_sampled_tokens(client, model, prompt):
    controls = {"max_length": [12], "temperature": [0.9], "seed": [5]}
    outputs = client.call(model, "generate", prompt=[prompt], top_k=[0], top_p=[1.0], **controls)
    ids, finished = generated_ids(model, prompt, 12, 0.9, 0, 1.0, 5)
    text = outputs["text"][0]
    assert text.startswith(prompt.encode())
    assert bool(outputs["finished"][0]) == finished
    generated = b"".join(model.tokenizer.symbols[i - 3] for i in ids)
    assert text[len(prompt.encode()) :].replace(b" ", b"") == generated.replace(b" ", b"")
    assert len(ids) > 0  # guard
    expected = ids_log_prob(model, prompt, ids, finished)
    assert outputs["log_prob"][0] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_generated_words_are_parted_by_one_space(client, tmp_path_factory):
    model = exported.of_kind(tmp_path_factory.getbasetemp(), "word")
    outputs = client.generate(model, ["a", "a ", "a\n", ""], max_length=[9], seed=[3])
    for prompt, text in zip(["a", "a ", "a\n", ""], outputs["text"], strict=True):
        words = model.tokenizer.encode(text)
        assert model.tokenizer.decode(words).strip("\n") == text.replace(" \n", "\n").strip("\n ")
        assert text.startswith(prompt)
        assert "  " not in text


@pytest.mark.slow
def test_infra_validator_blesses_every_kind(model, tmp_path):
    assert exported.infra_verdict(model.folder, model.folder, model.saved_model, tmp_path) == []
