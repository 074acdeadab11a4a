"""The SavedModel, used in a process that imports only TensorFlow: signatures, step and score."""

import numpy as np
import pytest

from components.tasks.files import ARCHITECTURE
from components.transform.tokenizers import load
from tests.components.exporter.exported import UNITS
from tests.testing import document_nats, forward, negative_log_likelihood, random_states, stream_of, to_numpy

TEXT = "ab é→\n🙂ca?b"  # "?" is not in the vocabulary
PROMPT = {"prompt": ("string", [None])}
CONTROLS = {
    "max_length": ("int32", [None]),
    "temperature": ("float32", [None]),
    "top_k": ("int32", [None]),
    "top_p": ("float32", [None]),
    "seed": ("int64", [None]),
}
STATES = {"state_0": ("float32", [None, UNITS]), "state_1": ("float32", [None, UNITS])}


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def score_by_steps(client, model, text):
    """ln p of each token of a document, read character by character from "<end>"."""
    ids = [*model.tokenizer.encode(text), model.tokenizer.end]
    states = client.call(model, "initial_state", batch_size=1)
    log_p = []
    for token, target in zip(["<end>", *text], ids, strict=True):
        outputs = client.call(model, "step", token=[token], **states)
        log_p.append(float(outputs.pop("log_probs")[0, target]))
        states = outputs
    return log_p


# ---- Signatures -----------------------------------------------------------------------------------------------------


def test_saved_model_signatures_are_those_of_the_design(client, full):
    signatures = client.ask("describe", str(full.saved_model))

    generated = {name: signatures["generate"][1][name][0] for name in signatures["generate"][1]}
    assert set(signatures) == {
        *("serving_default", "generate", "sample", "initial_state", "step", "score", "tokenize"),
        *("inspect", "read", "next_log_probs", "write"),
    }
    assert signatures["generate"][0] == {**PROMPT, **CONTROLS}
    assert generated == {"text": "string", "log_prob": "float32", "finished": "bool"}
    assert signatures["serving_default"] == signatures["generate"]
    assert signatures["initial_state"] == ({"batch_size": ("int32", [])}, STATES)
    assert signatures["step"][0] == {"token": ("string", [None]), **STATES}
    assert {name: dtype for name, (dtype, _) in signatures["step"][1].items()} == {
        "log_probs": "float32",
        "state_0": "float32",
        "state_1": "float32",
    }
    assert signatures["score"][0] == {"text": ("string", [None])}
    assert {name: dtype for name, (dtype, _) in signatures["score"][1].items()} == {
        "log_prob": "float32",
        "tokens": "int32",
    }
    assert signatures["tokenize"][0] == {"text": ("string", [None])}
    assert {name: dtype for name, (dtype, _) in signatures["tokenize"][1].items()} == {
        "tokens": "string",
        "ids": "int32",
        "lengths": "int32",
    }


@pytest.mark.parametrize("signature", ["generate", "serving_default"])
def test_saved_model_defaults_hold_the_optional_inputs(client, full, signature):
    defaults = client.ask("defaults", str(full.saved_model), signature)

    assert {name: (value.dtype.name, value.tolist()) for name, value in defaults.items()} == {
        "max_length": ("int32", [200]),
        "temperature": ("float32", [1.0]),
        "top_k": ("int32", [0]),
        "top_p": ("float32", [1.0]),
        "seed": ("int64", [0]),
    }


def test_saved_model_works_in_a_process_without_the_project(client, full):
    client.generate(full, ["a"])

    modules = client.ask("modules")
    assert "tensorflow" in modules
    assert not modules & {"components", "custom_layers", "pipeline", "apache_beam"}


def test_saved_model_vocabulary_is_an_asset(full):
    assert load(full.saved_model / "assets") == full.tokenizer


def test_saved_model_architecture_is_an_asset(full):
    assert (full.saved_model / "assets" / ARCHITECTURE).read_bytes() == (full.folder / ARCHITECTURE).read_bytes()


def test_saved_model_graph_needs_no_xla_and_no_python(client, full):
    operations = client.ask("operations", str(full.saved_model))

    assert "MatMul" in operations
    assert not {operation for operation in operations if operation.startswith(("Xla", "PyFunc", "EagerPyFunc"))}


# ---- Step -----------------------------------------------------------------------------------------------------------


def test_initial_state_is_zero_for_each_layer_and_row(client, full):
    states = client.call(full, "initial_state", batch_size=3)

    assert {name: state.shape for name, state in states.items()} == {"state_0": (3, UNITS), "state_1": (3, UNITS)}
    assert not any(state.any() for state in states.values())


@pytest.mark.parametrize("name", ["full", pytest.param("all_options", marks=pytest.mark.slow)])
def test_step_character_by_character_equals_score_and_the_keras_model(client, name, request):
    model = request.getfixturevalue(name)
    stepped = score_by_steps(client, model, TEXT)

    scored = client.call(model, "score", text=[TEXT])
    tokens = np.asarray([model.tokenizer.end, *model.tokenizer.encode(TEXT), model.tokenizer.end])[None]
    logits, _ = model.model(tokens[:, :-1], model.model.initial_states(1))
    log_p = np.take_along_axis(log_softmax(to_numpy(logits)), tokens[:, 1:, None], axis=-1)[0, :, 0]
    np.testing.assert_allclose(stepped, log_p, atol=1e-5)
    assert float(scored["log_prob"][0]) == pytest.approx(sum(stepped), abs=1e-5 * len(stepped))
    assert scored["tokens"].tolist() == [len(TEXT) + 1]
    assert np.ptp(log_p) > 1  # guard: the steps differ


def test_step_from_a_state_equals_numpy(client, full):
    first, second = random_states(full.model, 3)

    outputs = client.call(full, "step", token=["a", "é", "🙂"], state_0=first, state_1=second)

    ids = full.tokenizer.encode("aé🙂")[:, None]
    logits, (state_0, state_1) = forward(full.model.get_weights(), ids, [first, second])
    np.testing.assert_allclose(outputs["log_probs"], log_softmax(logits[:, 0]), atol=1e-5)
    np.testing.assert_allclose(outputs["state_0"], state_0, atol=1e-5)
    np.testing.assert_allclose(outputs["state_1"], state_1, atol=1e-5)


@pytest.mark.parametrize("token", ["<end>", ""])
def test_step_end_zeroes_only_its_rows_state(client, full, token):
    first, second = random_states(full.model, 2)

    outputs = client.call(full, "step", token=["a", token], state_0=first, state_1=second)

    fresh = client.call(full, "step", token=["<end>"], **client.call(full, "initial_state", batch_size=1))
    np.testing.assert_allclose(outputs["log_probs"][1], fresh["log_probs"][0], atol=1e-6)
    np.testing.assert_allclose(outputs["state_1"][1], fresh["state_1"][0], atol=1e-6)
    kept, _ = forward(full.model.get_weights(), full.tokenizer.encode("a")[None], [first[:1], second[:1]])
    np.testing.assert_allclose(outputs["log_probs"][0], log_softmax(kept[0, 0]), atol=1e-5)


def test_step_unknown_tokens_read_as_unk(client, full):
    first, second = random_states(full.model, 1)
    tokens = ["<unk>", "?", "ab", "<end", "\U0010ffff", "<pad>"]

    repeated = {"state_0": np.repeat(first, len(tokens), 0), "state_1": np.repeat(second, len(tokens), 0)}
    log_probs = client.call(full, "step", token=tokens, **repeated)["log_probs"]

    logits, _ = forward(full.model.get_weights(), np.asarray([[full.tokenizer.unknown]]), [first, second])
    for row in log_probs[:-1]:
        np.testing.assert_allclose(row, log_softmax(logits[0, 0]), atol=1e-5)
    assert np.abs(log_probs[-1] - log_probs[0]).max() > 0.01  # `<pad>` is a token of its own


def test_step_row_of_seven_equals_batch_of_one(client, full):
    first, second = random_states(full.model, 7)
    tokens = ["a", "<end>", "?", "b", "→", "\n", "🙂"]

    together = client.call(full, "step", token=tokens, state_0=first, state_1=second)

    for row in range(7):
        rows = slice(row, row + 1)
        alone = client.call(full, "step", token=tokens[rows], state_0=first[rows], state_1=second[rows])
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][rows], value, atol=1e-5)


# ---- Score ----------------------------------------------------------------------------------------------------------

LENGTHS = [0, 1, 254, 255, 256, 257, 600]
TEXTS = ["".join(np.random.default_rng(length).choice(list("ab é→🙂?"), length)) for length in LENGTHS]


def test_score_across_its_windows_equals_numpy(client, full):
    scored = client.call(full, "score", text=TEXTS)

    documents = [full.tokenizer.encode(text) for text in TEXTS]
    expected = [-document_nats(full.model.get_weights(), document, full.tokenizer.end) for document in documents]
    np.testing.assert_allclose(scored["log_prob"], expected, rtol=1e-5)
    assert scored["tokens"].tolist() == [length + 1 for length in LENGTHS]


def test_score_row_of_seven_equals_batch_of_one(client, full):
    together = client.call(full, "score", text=TEXTS)

    for row, text in enumerate(TEXTS):
        alone = client.call(full, "score", text=[text])
        np.testing.assert_allclose(together["log_prob"][row], alone["log_prob"][0], rtol=1e-6, atol=1e-5)


def test_score_empty_text_is_end_after_end(client, full):
    scored = client.call(full, "score", text=[""])

    first = client.call(full, "step", token=["<end>"], **client.call(full, "initial_state", batch_size=1))
    assert float(scored["log_prob"][0]) == pytest.approx(float(first["log_probs"][0, full.tokenizer.end]), abs=1e-5)
    assert scored["tokens"].tolist() == [1]


def test_score_of_no_text_is_no_score(client, full):
    scored = client.call(full, "score", text=np.zeros([0], object))

    assert scored["log_prob"].shape == scored["tokens"].shape == (0,)


# ---- A model with all options ---------------------------------------------------------------------------------------


def test_all_options_signatures_and_vocabulary_are_those_of_the_plain_model(client, full, all_options):
    assert client.ask("describe", str(all_options.saved_model)) == client.ask("describe", str(full.saved_model))
    assert load(all_options.saved_model / "assets") == all_options.tokenizer


def test_all_options_graph_draws_no_random_numbers(client, all_options):
    operations = client.ask("operations", str(all_options.saved_model))

    assert not {operation for operation in operations if "Random" in operation or "Rng" in operation}
    assert not {operation for operation in operations if operation.startswith(("Xla", "PyFunc", "EagerPyFunc"))}
    assert operations & {"ResourceGather", "GatherV2"}


def test_all_options_generated_text_has_the_log_prob_that_score_gives(client, all_options):
    outputs = client.generate(all_options, [""] * 32, max_length=[40], seed=list(range(32)))

    finished = outputs["finished"]
    texts = [text for text, done in zip(outputs["text"], finished, strict=True) if done]
    assert len(texts) > 5
    assert len(set(texts)) > 3  # guard
    scored = client.call(all_options, "score", text=texts)["log_prob"]
    np.testing.assert_allclose(outputs["log_prob"][finished], scored, atol=1e-4)


# ---- A vocabulary without <unk> -------------------------------------------------------------------------------------


def test_end_only_score_equals_numpy(client, end_only):
    scored = client.call(end_only, "score", text=["hello", "", "oleh"])

    documents = [end_only.tokenizer.encode(text) for text in ("hello", "", "oleh")]
    expected = [-document_nats(end_only.model.get_weights(), document) for document in documents]
    np.testing.assert_allclose(scored["log_prob"], expected, atol=1e-5)


def test_end_only_unknown_character_reads_as_end_and_keeps_the_state(client, end_only):
    scored = client.call(end_only, "score", text=["he?lo"])

    assert float(scored["log_prob"][0]) == pytest.approx(sum(score_by_steps(client, end_only, "he?lo")), abs=5e-5)
    weights, vocabulary = end_only.model.get_weights(), end_only.tokenizer
    tokens = stream_of([vocabulary.encode("he?lo")])[None]
    kept, _ = forward(weights, tokens[:, :-1], [np.zeros((1, UNITS))] * 2)
    expected = -negative_log_likelihood(kept, tokens[:, 1:]).sum()
    assert float(scored["log_prob"][0]) == pytest.approx(expected, abs=5e-5)
    anew = -sum(document_nats(weights, vocabulary.encode(text)) for text in ("he", "lo"))
    assert abs(anew - expected) > 0.1  # guard: it does not open a document
