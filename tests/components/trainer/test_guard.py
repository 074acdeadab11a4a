"""Steps that are not finite: injected into loss, gradient and state, and what each policy makes of them."""

import keras
import numpy as np
import pytest

from components.tasks import files
from components.tasks.language_model import LanguageModel
from components.trainer.backend import TrainStep, Update
from components.trainer.history import read
from components.trainer.loop import train
from components.trainer.training import Training
from pipeline.config import OptimizerConfig, TrainerConfig
from tests.components.trainer.test_loop import UNITS, VOCABULARY, documents, read_corpus, write_corpus
from tests.testing import back_propagation, random_model, random_states, random_window, to_numpy

BATCH, LENGTH = 3, 7


def rate(step):
    return keras.ops.full((), 0.1)


def take(model, window, states, update=None, number=4):
    """Takes one step with Adam; returns the variables before and after it, and what it returned."""
    step = TrainStep(model, keras.optimizers.Adam(), update or Update(rate, global_clipnorm=0.5))
    first = random_window(BATCH, LENGTH, len(VOCABULARY), seed=5)
    step(first, random_states(model, BATCH), 0)  # Adam's averages are not zero
    before = step.read()
    states, result = step(window, states, number)
    return before, step.read(), [to_numpy(state) for state in states], result


def trainable(model, variables):
    return variables[: len(model.trainable_variables)]


def exploding_model():
    """Its loss is finite and its gradient is not: states of zero, and a W whose powers overflow."""
    model = LanguageModel(len(VOCABULARY), UNITS, 1, activation="linear")
    weights = model.get_weights()
    weights[0] *= 0  # U
    weights[1] = np.eye(UNITS, dtype="float32") * 1e30
    model.set_weights(weights)
    return model


def injected(cause, value):
    """A model, a window and states such that `cause` is not finite."""
    model = exploding_model() if cause == "gradient" else random_model(len(VOCABULARY), UNITS, 2)
    window = random_window(BATCH, LENGTH, len(VOCABULARY))
    states = random_states(model, BATCH)
    if cause == "gradient":
        window.reset[:] = False
        states = [0 * state for state in states]
    if cause == "loss":
        window.weights[2, 1] = value
    if cause == "state":
        states[1][1, 3] = value
    return model, window, states


@pytest.mark.parametrize(("cause", "value"), [("loss", np.nan), ("loss", np.inf), ("gradient", None)])
def test_step_not_finite_changes_nothing(cause, value):
    model, window, states = injected(cause, value)
    if cause == "gradient":
        step = TrainStep(model, keras.optimizers.Adam(), Update(rate))
        before = step.read()
        _, result = step(window, states, 0)
        after = step.read()
        assert np.isfinite(float(result.loss))  # guard: it is the gradient alone
    else:
        before, after, _, result = take(model, window, states)
        assert not np.isfinite(float(result.loss))

    assert not np.isfinite(float(result.gradient_norm))
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    # Guard: the same window without the injection changes all weights.
    model = random_model(len(VOCABULARY), UNITS, 2)
    before, after, _, _ = take(model, random_window(BATCH, LENGTH, len(VOCABULARY)), random_states(model, BATCH))
    assert all((old != new).any() for old, new in zip(trainable(model, before), trainable(model, after), strict=True))


@pytest.mark.slow
def test_step_kick_moves_all_weights_at_random_by_the_norm_and_leaves_the_optimizer():
    kicks = []
    for seed, number in ((7, 4), (7, 4), (7, 5), (8, 4)):
        model, window, states = injected("loss", np.nan)
        before, after, _, _ = take(model, window, states, Update(rate, kick_norm=0.25, seed=seed), number)
        count = len(model.trainable_variables)
        kicks.append(np.concatenate([(b - a).ravel() for a, b in zip(before[:count], after[:count], strict=True)]))
        for old, new in zip(before[count:], after[count:], strict=True):
            np.testing.assert_array_equal(old, new)

    assert np.linalg.norm(kicks[0]) == pytest.approx(0.25, rel=1e-4)
    assert (kicks[0] != 0).all()
    np.testing.assert_array_equal(kicks[0], kicks[1])
    for other in kicks[2:]:
        assert abs(np.corrcoef(kicks[0], other)[0, 1]) < 0.3


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_step_state_not_finite_is_zeroed_in_every_layer_and_the_update_made(value):
    model, window, states = injected("state", value)
    repaired = [np.where(np.arange(BATCH)[:, None] == 1, 0, state) for state in states]
    step = TrainStep(model, keras.optimizers.SGD(), Update(lambda step: keras.ops.full((), 1.0)))
    before = model.get_weights()
    _, expected, final_states = back_propagation(before, window, repaired)

    carried, result = step(window, states, 0)
    step.sync()

    assert float(result.bad_rows) == 1
    for old, new, gradient in zip(before, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(old - new, gradient, atol=1e-6)
    for state, reference in zip(carried, final_states, strict=True):
        np.testing.assert_allclose(to_numpy(state), reference, atol=2e-6)


def without_guard(monkeypatch):
    """Lets every step make its update, finite or not."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        monkeypatch.setattr(tensorflow, "cond", lambda good, apply, kick: apply())
    else:
        import jax

        monkeypatch.setattr(jax.lax, "cond", lambda good, apply, kick: apply())


@pytest.mark.slow
@pytest.mark.parametrize("kick_norm", [None, 1.0])
def test_step_finite_is_bit_identical_with_and_without_the_guard(monkeypatch, kick_norm):
    update = Update(rate, clipvalue=0.1, clipnorm=0.2, global_clipnorm=0.3, gradient_noise=1e-3, kick_norm=kick_norm)

    def run():
        model = random_model(len(VOCABULARY), UNITS, 2)
        step = TrainStep(model, keras.optimizers.Adam(), update)
        states = random_states(model, BATCH)
        for number in range(5):
            states, _ = step(random_window(BATCH, LENGTH, len(VOCABULARY), seed=number), states, number)
        return step.read(), states

    guarded, guarded_states = run()
    without_guard(monkeypatch)
    plain, plain_states = run()

    for one, other in zip([*guarded, *guarded_states], [*plain, *plain_states], strict=True):
        np.testing.assert_array_equal(to_numpy(one), to_numpy(other))
    model, window, states = injected("loss", np.nan)
    _, after, _, _ = take(model, window, states)
    assert np.isnan(after[0]).all()  # guard: the guard is really off


# ---- A whole training -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, documents(6, 20), documents(2, 9, seed=1))
    return read_corpus(folder)


def run_training(corpus, folder, policy, poison, monkeypatch, **settings):
    """Trains two epochs, the weights of some steps' windows being NaN."""
    original = Training._take

    def poisoned(training, step):
        if training.step + 1 in poison:
            step = step._replace(window=step.window._replace(weights=np.nan * step.window.weights))
        original(training, step)

    monkeypatch.setattr(Training, "_take", poisoned)
    optimizer = OptimizerConfig(learning_rate=0.01, schedule="constant")
    config = TrainerConfig(
        epochs=2, nan_policy=policy, optimizer=optimizer, diagnostics=False, save_every_seconds=None, **settings
    )
    train(LanguageModel(len(VOCABULARY), UNITS, 1, seed=2), corpus, config, folder, folder / "work")


def entries(folder):
    """The history of a training, ended or not."""
    return read(folder / "work" / "history.jsonl")


def events(folder):
    """The steps that were not finite, as they were logged."""
    return [{"step": entry["step"], **entry["event"]} for entry in entries(folder) if "event" in entry]


@pytest.mark.slow
def test_train_fail_ends_at_the_first_bad_step_and_stores_no_model(corpus, tmp_path, monkeypatch):
    with pytest.raises(FloatingPointError, match=r"finite\. Received: a loss of nan.* at step 3 \(cause: loss\)"):
        run_training(corpus, tmp_path, "fail", {3, 5}, monkeypatch)

    assert not (tmp_path / files.ARCHITECTURE).exists()
    assert {"step": 3, "event": {"cause": "loss", "action": "fail"}} in entries(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["skip", "kick"])
def test_train_skip_and_kick_go_on_and_log_each_bad_step(corpus, tmp_path, monkeypatch, policy):
    run_training(corpus, tmp_path, policy, {2, 3, 7}, monkeypatch)

    assert events(tmp_path) == [{"step": step, "cause": "loss", "action": policy} for step in (2, 3, 7)]
    assert all(np.isfinite(weight).all() for weight in files.load(tmp_path).get_weights())
    assert [entry["nats"] for entry in entries(tmp_path) if "nats" in entry].count(None) == 0


@pytest.mark.slow
def test_train_rollback_restores_the_checkpoint_with_a_lower_rate_then_fails(corpus, tmp_path, monkeypatch):
    with pytest.raises(FloatingPointError, match="at step 6"):
        run_training(
            corpus,
            tmp_path,
            "rollback",
            {6},
            monkeypatch,
            save_every_steps=2,
            bad_steps={"rollbacks": 2, "rollback_factor": 0.1},
        )

    logged = events(tmp_path)
    assert [event["action"] for event in logged] == ["rollback", "rollback", "fail"]
    assert [event["step"] for event in logged] == [4, 4, 6]
    assert [event.get("bad_step") for event in logged] == [6, 6, None]


@pytest.mark.slow
def test_train_rollback_once_goes_on_with_the_lower_rate(corpus, tmp_path, monkeypatch):
    poison = {6}
    original = Training.roll_back

    def healed(training, *arguments):
        poison.clear()
        original(training, *arguments)

    monkeypatch.setattr(Training, "roll_back", healed)
    run_training(
        corpus, tmp_path, "rollback", poison, monkeypatch, save_every_steps=2, bad_steps={"rollback_factor": 0.1}
    )

    assert [(event["step"], event["bad_step"], event["action"]) for event in events(tmp_path)] == [(4, 6, "rollback")]
    reports = [entry for entry in entries(tmp_path) if "learning_rate" in entry]
    assert [entry["learning_rate"] for entry in reports] == pytest.approx([0.001] * len(reports))
    assert [entry["step"] for entry in reports] == sorted({entry["step"] for entry in reports})


@pytest.mark.slow
def test_train_too_many_skipped_in_a_row_roll_back_and_then_fail(corpus, tmp_path, monkeypatch):
    with pytest.raises(FloatingPointError, match="at step 6"):
        run_training(
            corpus,
            tmp_path,
            "skip",
            {4, 5, 6},
            monkeypatch,
            save_every_steps=1,
            bad_steps={"in_a_row": 3, "rollbacks": 1},
        )

    actions = [(event["step"], event["action"]) for event in events(tmp_path)]
    assert actions == [(3, "rollback"), (4, "skip"), (5, "skip"), (6, "fail")]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["fail", "skip", "kick", "rollback"])
def test_train_learning_rate_of_a_million_ends_as_the_policy_says(corpus, tmp_path, policy):
    optimizer = OptimizerConfig(name="sgd", learning_rate=1e6, schedule="constant")
    model = LanguageModel(len(VOCABULARY), UNITS, 2, seed=2, activation="relu")
    folder = tmp_path
    config = TrainerConfig(
        epochs=2, nan_policy=policy, optimizer=optimizer, diagnostics=False, bad_steps={"in_a_row": 2, "rollbacks": 1}
    )

    with pytest.raises(FloatingPointError, match="must be finite"):
        train(model, corpus, config, folder, folder / "work")

    actions = [event["action"] for event in events(folder)]
    expected = {"fail": {"fail"}, "rollback": {"rollback", "fail"}}.get(policy, {"rollback", policy, "fail"})
    assert set(actions) == expected
    assert actions[-1] == "fail"
    assert not (folder / files.ARCHITECTURE).exists()
