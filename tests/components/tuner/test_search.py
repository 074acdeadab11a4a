"""The search as a function: seeds, going on at any place, pruning, repeated values, failures."""

import math

import pytest

from components.tuner.search import search
from components.tuner.trials import Trial, best_of
from pipeline.tuner_config import TunerConfig

SPACE = {
    "model.units": {"low": 1, "high": 64, "log": True},
    "trainer.optimizer.learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
    "model.activation": {"choices": ["tanh", "relu"]},
}
INTEGERS = {"model.units": True, "trainer.optimizer.learning_rate": False, "model.activation": False}


def tuner(parameters=SPACE, **settings):
    return TunerConfig.model_validate({"parameters": parameters, "trials": 14, **settings})


def loss(values):
    """Lowest at 20 units and a learning rate of 0.01, with tanh."""
    units = values.get("model.units", 20)
    rate = values.get("trainer.optimizer.learning_rate", 0.01)
    return 1 + math.log(units / 20) ** 2 + math.log10(rate / 0.01) ** 2 + (values.get("model.activation") == "relu")


class Trainings:
    """Trials of four evaluations that fall to `loss`."""

    def __init__(self, fails=()):
        self.numbers, self.told, self._fails = [], [], fails

    def __call__(self, number, values, judge):
        self.numbers.append(number)
        if number in self._fails:
            return Trial(number, values, "failed", message="out of luck")
        evaluations = []
        for epoch in range(1, 5):
            evaluations.append((epoch, loss(values) * (1 + 1 / epoch)))
            if judge(evaluations[-1][1]):
                return Trial(number, values, "pruned", evaluations[-1][1], tuple(evaluations))
        return Trial(number, values, "completed", evaluations[-1][1], tuple(evaluations))


def run(config, known=(), trainings=None):
    trainings = trainings or Trainings()
    return search(config, {key: INTEGERS.get(key, False) for key in config.parameters}, known, trainings,
                  trainings.told.append)  # fmt: skip


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_search_same_seed_same_trials_and_another_seed_others(sampler):
    first = run(tuner(sampler=sampler, seed=3)).trials

    assert run(tuner(sampler=sampler, seed=3)).trials == first
    assert run(tuner(sampler=sampler, seed=4)).trials[0].values != first[0].values
    assert len({str(trial.values) for trial in first}) == 14


def test_search_tpe_learns_from_the_trials_before():
    random, tpe = (run(tuner(sampler=sampler)).trials for sampler in ("random", "tpe"))

    assert [trial.values for trial in random[:10]] == [trial.values for trial in tpe[:10]]
    assert [trial.values for trial in random[10:]] != [trial.values for trial in tpe[10:]]


def test_search_order_of_the_keys_decides_nothing():
    turned = dict(reversed(SPACE.items()))

    assert run(tuner(turned)).trials == run(tuner()).trials


@pytest.mark.parametrize("pruner", ["none", "successive_halving"])
@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("stopped_after", [0, 1, 7, 13])
def test_search_goes_on_as_if_it_had_never_stopped(sampler, pruner, stopped_after):
    config = tuner(sampler=sampler, pruner=pruner)
    whole = run(config, trainings=Trainings(fails=[3]))
    rest = Trainings(fails=[3])

    found = run(config, whole.trials[:stopped_after], rest)

    assert found == whole
    assert rest.numbers == list(range(stopped_after + 1, 15))
    assert rest.told == whole.trials[stopped_after:]


def test_search_more_trials_go_on_after_those_of_a_shorter_search():
    assert run(tuner(trials=20), run(tuner(trials=6)).trials) == run(tuner(trials=20))


def test_search_known_trials_of_another_search_are_refused():
    with pytest.raises(RuntimeError, match=r"must repeat its trials.*trial 1.*--force tuner"):
        run(tuner(seed=1), run(tuner(seed=2)).trials)


def test_search_successive_halving_ends_trials_early_and_keeps_the_best():
    pruned, whole = run(tuner(pruner="successive_halving")).trials, run(tuner(sampler="random")).trials

    states = [trial.state for trial in pruned]
    assert states.count("pruned") >= 5
    assert all(len(trial.evaluations) < 4 for trial in pruned if trial.state == "pruned")
    assert all(trial.state == "completed" for trial in whole)
    # Here a trial that is better at first is better at last: the best of all must come through.
    values = {str(trial.values) for trial in pruned if trial.state == "completed"}
    assert str(min(pruned, key=lambda trial: loss(trial.values)).values) in values


def test_search_best_is_the_lowest_of_the_completed():
    trials = run(tuner(), trainings=Trainings(fails=[2])).trials

    lowest = min(trial.bits_per_char for trial in trials if trial.state == "completed")
    assert best_of(trials).bits_per_char == lowest
    assert best_of(trials) is next(trial for trial in trials if trial.bits_per_char == lowest)


def test_best_of_a_pruned_trial_is_not_the_best():
    trials = [Trial(1, {}, "pruned", 1.0), Trial(2, {}, "completed", 2.0), Trial(3, {}, "failed")]

    assert best_of(trials).number == 2
    assert best_of(trials[::2]) is None


def test_search_values_tried_before_are_not_run_again():
    trainings = Trainings()

    trials = run(tuner({"model.activation": SPACE["model.activation"]}, trials=6), trainings=trainings).trials

    assert len(trainings.numbers) == 2
    assert len(trainings.told) == len(trials) == 6
    for trial in trials:
        first = next(other for other in trials if other.values == trial.values)
        assert (trial.state, trial.bits_per_char, trial.evaluations) == (
            "completed",
            first.bits_per_char,
            first.evaluations,
        )
        assert trial.message == (None if trial is first else f"the values of trial {first.number}")


def test_search_range_with_a_step_and_of_integers_keeps_to_it():
    parameters = {
        "model.units": {"low": 4, "high": 16, "step": 4},
        "trainer.optimizer.ema": {"low": 0.5, "high": 0.75, "step": 0.125},
        "model.layers": {"low": 1, "high": 3},
    }
    config = tuner(parameters, sampler="random", trials=40)
    integers = {"model.units": True, "model.layers": True, "trainer.optimizer.ema": False}

    trials = search(config, integers, [], Trainings(), lambda trial: None).trials

    seen = {key: {trial.values[key] for trial in trials} for key in parameters}
    assert seen["model.units"] == {4, 8, 12, 16}
    assert seen["model.layers"] == {1, 2, 3}
    assert seen["trainer.optimizer.ema"] == {0.5, 0.625, 0.75}
    assert {type(value) for value in seen["model.units"]} == {int}


def test_search_choices_may_be_sections_and_null():
    choices = [None, {"length": 4, "steps": 9}]

    trials = run(tuner({"trainer.length_warmup": {"choices": choices}}, trials=8)).trials

    assert [value for value in choices if any(t.values["trainer.length_warmup"] == value for t in trials)] == choices


def test_search_importances_name_the_key_that_matters():
    def one_matters(number, values, judge):
        bits_per_char = 1 + math.log(values["model.units"] / 20) ** 2
        return Trial(number, values, "completed", bits_per_char, ((1, bits_per_char),))

    found = search(tuner(sampler="random", trials=60), INTEGERS, [], one_matters, lambda trial: None)

    assert next(iter(found.importances)) == "model.units"
    assert sum(found.importances.values()) == pytest.approx(1)
    assert run(tuner(trials=9)).importances == {}


def test_search_evaluation_that_is_not_finite_is_pruned():
    def broken(number, values, judge):
        stop = judge(None)
        return Trial(number, values, "pruned" if stop else "completed", None if stop else 1.0, ((1, None),))

    assert search(tuner(pruner="successive_halving", trials=2), INTEGERS, [], broken, lambda t: None).trials[
        1
    ].state == ("pruned")
