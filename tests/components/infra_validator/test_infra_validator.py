"""The InfraValidator: blesses a SavedModel that does its work, and says what is wrong with one that does not."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from components.heavy_imports import import_quietly
from components.infra_validator.stage import InfraValidator
from pipeline.config import InfraValidatorConfig
from tests.components.exporter import exported

CALLS = itertools.count()
SIGNATURES = (
    *("serving_default", "generate", "initial_state", "step", "score", "tokenize"),
    *("inspect", "sample", "read", "write"),
)


@pytest.fixture(scope="module")
def tf():
    return import_quietly("tensorflow")


@pytest.fixture(scope="module")
def check(tf):
    """The module that runs in the child process."""
    from components.infra_validator import check

    return check


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported.full(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def loaded(tf, model):
    """The working model; it keeps its variables alive."""
    return tf.saved_model.load(str(model.saved_model))


# ---- The stage ------------------------------------------------------------------------------------------------------


def validate(saved_model, folder, trained, **settings):
    """Runs the stage, without servers; returns the name of the verdict, the reasons, and the sample."""
    folder.mkdir()
    inputs = {"exported_model": saved_model, "model": trained.folder, "transform_graph": trained.folder}
    stage = InfraValidator(InfraValidatorConfig.model_validate({"servers": False, **settings}))
    stage.run(inputs, {"infra_blessing": folder}, folder)
    (verdict,) = folder.glob("INFRA_*")
    return verdict.name, verdict.read_text("utf-8").splitlines(), (folder / "sample.txt").read_text("utf-8")


def test_infra_validator_working_model_is_blessed_with_a_sample(model, tmp_path):
    verdict, reasons, sample = validate(model.saved_model, tmp_path / "blessing", model)

    assert verdict == "INFRA_BLESSED"
    assert reasons == []
    assert set(sample) <= set(model.tokenizer.characters)


@pytest.mark.slow
def test_infra_validator_weights_that_are_nan_are_refused_with_reasons(tf, model, tmp_path):
    broken = tf.saved_model.load(str(model.saved_model))
    for variable in broken.signatures["score"].variables:
        variable.assign(tf.fill(variable.shape, np.float32("nan")))
    tf.saved_model.save(broken, str(tmp_path / "nan"), signatures=broken.signatures)

    verdict, reasons, _ = validate(tmp_path / "nan", tmp_path / "blessing", model)

    assert verdict == "INFRA_NOT_BLESSED"
    assert any("score must be finite; it is nan" in reason for reason in reasons)
    assert any("log_prob must be finite" in reason for reason in reasons)


def test_infra_validator_model_without_signatures_is_refused_naming_those_of_tasks(tf, model, tmp_path):
    module = tf.Module()
    module.variable = tf.Variable([1.0, 2.0])
    tf.saved_model.save(module, str(tmp_path / "bare"))

    verdict, reasons, sample = validate(tmp_path / "bare", tmp_path / "blessing", model)

    assert verdict == "INFRA_NOT_BLESSED"
    (reason,) = reasons
    assert reason.startswith("The model must have the signature of a task: generate, classify, ")
    assert reason.endswith("Its signatures: none.")
    assert sample == ""


def test_infra_validator_folder_that_is_no_saved_model_is_refused_with_the_error(model, tmp_path):
    verdict, (reason,), sample = validate(tmp_path, tmp_path / "blessing", model)

    assert verdict == "INFRA_NOT_BLESSED"
    assert "could not be tried: RuntimeError: components.infra_validator.alone ended with exit code 1" in reason
    assert sample == ""


@pytest.mark.slow
def test_infra_validator_weights_that_are_not_the_keras_models_are_refused(tf, model, tmp_path):
    broken = tf.saved_model.load(str(model.saved_model))
    (variable, *_) = broken.signatures["score"].variables
    variable.assign_add(tf.fill(variable.shape, np.float32(0.01)))
    tf.saved_model.save(broken, str(tmp_path / "other"), signatures=broken.signatures)

    verdict, reasons, _ = validate(tmp_path / "other", tmp_path / "blessing", model)

    assert verdict == "INFRA_NOT_BLESSED"
    (reason,) = reasons  # with itself it agrees
    assert "Signature 'inspect': log_probs must be the numbers of the Keras model within 0.0001" in reason


@pytest.mark.slow
def test_infra_validator_over_budget_is_refused_with_the_figures(model, tmp_path):
    verdict, reasons, _ = validate(model.saved_model, tmp_path / "blessing", model, latency_ms=1e-6, memory_mb=1.0)

    assert verdict == "INFRA_NOT_BLESSED"
    assert "ms (the median of a few), and infra_validator.latency_ms allows 1e-06." in reasons[0]
    assert "MB, and infra_validator.memory_mb allows 1." in reasons[1]
    measured = json.loads((tmp_path / "blessing" / "measured.json").read_text("utf-8"))
    assert measured["latency_ms"] > 0
    assert measured["memory_mb"] > 50  # TensorFlow


def test_infra_validator_that_takes_too_long_is_refused(model, tmp_path):
    verdict, (reason,), _ = validate(model.saved_model, tmp_path / "blessing", model, timeout_s=0.01)

    assert verdict == "INFRA_NOT_BLESSED"
    assert "was not done after 0.01 seconds" in reason


@pytest.mark.parametrize("printed", ["", "no JSON", "[]", '{"reasons": []}'])
def test_infra_validator_output_that_cannot_be_read_is_a_refusal(model, tmp_path, monkeypatch, printed):
    monkeypatch.setattr("components.infra_validator.stage.run_module", lambda *arguments, timeout: printed)

    verdict, (reason,), _ = validate(model.saved_model, tmp_path / "blessing", model)

    assert verdict == "INFRA_NOT_BLESSED"
    assert reason.startswith("The model could not be tried: ")


def test_infra_validator_refusal_is_tried_again_and_a_blessing_is_not(tmp_path):
    stage = InfraValidator(InfraValidatorConfig())
    (tmp_path / "INFRA_NOT_BLESSED").touch()
    assert not stage.reusable({"infra_blessing": tmp_path}, tmp_path)
    (tmp_path / "INFRA_NOT_BLESSED").rename(tmp_path / "INFRA_BLESSED")
    assert stage.reusable({"infra_blessing": tmp_path}, tmp_path)


# ---- The checks -----------------------------------------------------------------------------------------------------


def test_wrong_signatures_working_model_has_none(check, loaded):
    assert check.wrong_signatures(loaded.signatures) == []


def test_wrong_signatures_names_a_missing_output_and_a_wrong_type(check, loaded):
    good = loaded.signatures["score"]
    changed = SimpleNamespace(
        structured_input_signature=good.structured_input_signature,
        structured_outputs={"log_prob": SimpleNamespace(dtype=SimpleNamespace(name="float64"))},
    )

    assert check.wrong_signatures({**loaded.signatures, "score": changed}) == [
        "Signature 'score': output 'log_prob' must be float32; it is float64.",
        "Signature 'score': output 'tokens' must be int32; it is missing.",
    ]


def change(loaded, name, changed):
    """The signatures with one whose outputs go through `changed`."""
    good = loaded.signatures[name]

    def other(**inputs):
        return changed(dict(good(**inputs)))

    other.structured_input_signature = good.structured_input_signature
    return {**loaded.signatures, name: other}


def test_wrong_results_working_model_has_none(check, loaded, model):
    folder = model.saved_model
    assert check.wrong_results(loaded.signatures, check.known_text(folder), check.end_id(folder)) == []


@pytest.mark.parametrize(
    ("signature", "changed", "reason"),
    [
        ("score", lambda out: {**out, "log_prob": out["log_prob"] + 0.01}, "step and score must agree"),
        ("step", lambda out: {**out, "state_1": 0 * out["state_1"]}, "step and score must agree"),
        ("score", lambda out: {**out, "tokens": out["tokens"] - 1}, "score must count 9 tokens"),
        ("generate", lambda out: {**out, "text": out["text"] + str(next(CALLS))}, "two calls differ"),
        ("generate", lambda out: {**out, "text": out["text"][::-1]}, "must return the prompt and its continuation"),
        ("generate", lambda out: {**out, "log_prob": out["log_prob"] / 0}, "log_prob must be finite"),
    ],
)
def test_wrong_results_says_what_does_not_fit(check, loaded, model, signature, changed, reason):
    text, end = check.known_text(model.saved_model), check.end_id(model.saved_model)

    reasons = check.wrong_results(change(loaded, signature, changed), text, end)

    assert len(reasons) >= 1
    assert any(reason in sentence for sentence in reasons)


def test_wrong_signatures_names_what_write_lacks(check, loaded):
    good = loaded.signatures["write"]
    inputs = {name: spec for name, spec in good.structured_input_signature[1].items() if name != "given_count"}
    changed = SimpleNamespace(
        structured_input_signature=((), inputs), structured_outputs=loaded.signatures["read"].structured_outputs
    )

    reasons = check.wrong_signatures({**loaded.signatures, "write": changed})

    assert reasons[0] == "Signature 'write': input 'given_count' must be int32; it is missing."
    assert "Signature 'write': output 'ended' must be bool; it is missing." in reasons


def test_wrong_writing_working_model_has_none(check, loaded, model):
    folder = model.saved_model
    assert check.wrong_writing(loaded.signatures, check.known_text(folder), check.end_id(folder)) == []


@pytest.mark.parametrize(
    ("signature", "changed", "reason"),
    [
        ("sample", lambda out: {**out, "text": out["text"][::-1]}, "sample with samples=2 must equal generate"),
        ("inspect", lambda out: {**out, "log_probs": out["log_probs"] - 0.01}, "inspect and score must agree"),
        ("inspect", lambda out: {**out, "states": out["states"][:, 1:]}, "inspect must show 9 places"),
        ("read", lambda out: {**out, "token": 0 * out["token"]}, "read and write must continue as generate"),
        ("write", lambda out: {**out, "log_prob": out["log_prob"] * 2}, "read and write must continue as generate"),
        ("write", lambda out: {**out, "count": out["count"] + 1}, "read and write must continue as generate"),
        ("write", lambda out: {**out, "tokens": 0 * out["tokens"]}, "write must leave the states"),
        ("write", lambda out: {**out, "state_1": out["state_1"] + 0.1}, "write must leave the states"),
        ("generate", lambda out: {**out, "log_prob": out["log_prob"] - 1}, "read and write must continue as generate"),
    ],
)
def test_wrong_writing_says_what_does_not_fit(check, loaded, model, signature, changed, reason):
    text, end = check.known_text(model.saved_model), check.end_id(model.saved_model)

    reasons = check.wrong_writing(change(loaded, signature, changed), text, end)

    assert len(reasons) >= 1
    assert any(reason in sentence for sentence in reasons)


def test_known_text_has_no_unknown_token(check, model):
    text = check.known_text(model.saved_model)
    assert len(text) == 8
    assert model.tokenizer.unknown not in model.tokenizer.encode(text)
    assert check.end_id(model.saved_model) == model.tokenizer.end


def test_check_needs_tensorflow_alone_and_tells_what_else_there_is(check, model):
    """This process has imported Keras and the project: the check sees that, and finds nothing else."""
    found = check.check(model.saved_model)
    (reason,) = found["reasons"]
    assert reason.startswith("TensorFlow must be enough to use the model; it took components.")
    assert found["memory_mb"] > 0
    assert found["latency_ms"] > 0
