"""The Tuner stage: what it goes on with, what it refuses, what it leaves. Its trials are played here, not trained."""

import importlib.metadata
import math

import pytest

from components.tuner import trials
from components.tuner.process import TrialRunner
from components.tuner.stage import Tuner
from components.tuner.trials import Trial
from pipeline.config_file import load_config, validate


def config(number=4, **model):
    return validate(
        {
            "pipeline": {"name": "q"},
            "example_gen": {"source": "inline:hello"},
            "model": model,
            "tuner": {"parameters": {"model.units": {"low": 1, "high": 999}}, "trials": number},
        }
    )


@pytest.fixture
def played(monkeypatch):
    """The numbers of the trials that were run; each one's figure is how far its units are from 500."""
    numbers = []

    def run(self, number, values, judge):
        numbers.append(number)
        bits_per_char = math.log(1 + abs(values["model.units"] - 500))
        return Trial(number, values, "completed", bits_per_char, ((1, bits_per_char),))

    monkeypatch.setattr(TrialRunner, "run", run)
    return numbers


@pytest.fixture
def search(tmp_path):
    """Returns a function that runs the stage with a configuration in one root; returns the folder it filled."""
    examples = tmp_path / "examples"
    examples.mkdir()
    count = iter(range(99))

    def start(configuration):
        output = tmp_path / f"output-{next(count)}"
        output.mkdir()
        Tuner.from_config(configuration).run({"examples": examples}, {"best_hyperparameters": output}, tmp_path)
        return output

    return start


def test_tuner_writes_the_best_as_a_recipe_and_configures_with_it(search, played):
    output = search(config(layers=3))

    found = trials.read(output / "trials.jsonl")
    best = min(found, key=lambda trial: trial.bits_per_char).values["model.units"]
    recipe = load_config(output / "best_config.yaml")
    assert len({trial.values["model.units"] for trial in found}) == 4
    assert (recipe.model.units, recipe.model.layers, recipe.tuner) == (best, 3, None)
    configured = Tuner.from_config(config()).configured(config(layers=5), {"best_hyperparameters": output})
    assert (configured.model.units, configured.model.layers, configured.tuner) == (best, 5, None)


def test_tuner_is_configured_by_the_sections_that_decide_trials():
    assert set(Tuner.from_config(config()).settings()) == {"tuner", "transform", "model", "trainer"}
    assert "beam" not in Tuner.from_config(config()).settings()["transform"]


def test_tuner_more_trials_than_were_done_are_added(search, played):
    first = trials.read(search(config(3)) / "trials.jsonl")

    more = trials.read(search(config(5)) / "trials.jsonl")

    assert played == [1, 2, 3, 4, 5]
    assert more[:3] == first
    assert trials.read(search(config(2)) / "trials.jsonl") == first[:2]
    assert len(played) == 5


def test_tuner_stopped_search_of_other_settings_is_refused(search, played, monkeypatch):
    def stopping(self, number, values, judge, run=TrialRunner.run):
        if number == 3:
            raise KeyboardInterrupt
        return run(self, number, values, judge)

    with monkeypatch.context() as patch:
        patch.setattr(TrialRunner, "run", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(config())

    with pytest.raises(ValueError, match=r"must keep its settings.*model\.layers: 2 → 3.*stopped after 2 trials"):
        search(config(layers=3))
    search(config())
    assert played == [1, 2, 3, 4]


def test_tuner_search_that_is_done_makes_room_for_another(search, played):
    search(config())

    search(config(layers=3))

    assert played == [1, 2, 3, 4] * 2


def test_tuner_forget_removes_what_it_would_go_on_with(search, played, tmp_path):
    search(config())
    assert (tmp_path / "checkpoints" / "tuner").is_dir()

    Tuner.from_config(config()).forget(tmp_path)

    assert not (tmp_path / "checkpoints").exists()


def test_tuner_second_search_in_a_root_is_refused(search, monkeypatch):
    def run(self, number, values, judge):
        search(config())

    monkeypatch.setattr(TrialRunner, "run", run)

    with pytest.raises(RuntimeError, match="one process at a time may search in a root"):
        search(config())


def test_tuner_without_optuna_says_how_to_install_it(monkeypatch, tmp_path):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)

    with pytest.raises(ModuleNotFoundError, match=r"optuna must be installed.*pip install 'rnn-pipeline\[tune\]'"):
        Tuner.from_config(config()).environment(tmp_path)
