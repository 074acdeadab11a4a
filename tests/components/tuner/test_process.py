"""A trial in a process of its own: pruned, killed, stopped and gone on with, refused."""

import signal
import time

import pytest

from components.example_gen.stage import ExampleGen
from components.trainer.signals import StopRequest
from components.tuner import process
from components.tuner.process import TrialRunner
from pipeline.config_file import validate

# A trial's process imports Keras and Beam.
pytestmark = pytest.mark.slow

EPOCHS = 6
CONFIG = {
    "pipeline": {"name": "q"},
    "example_gen": {"source": "inline:hello yellow fellow, hello mellow yellow", "splits": "same"},
    "transform": {"window_length": 6, "lanes": 2},
    "model": {"units": 5, "layers": 1},
    "trainer": {"epochs": EPOCHS, "evaluate_every": 2, "save_every_seconds": None, "save_every_steps": 1000},
    "tuner": {"parameters": {"model.units": {"low": 1, "high": 9}}},
}
VALUES = {"model.units": 4}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    ExampleGen.from_config(validate(CONFIG)).run({}, {"examples": folder}, folder)
    return folder


@pytest.fixture
def children(monkeypatch):
    """The processes that were started."""
    started, start = [], process.start_module
    monkeypatch.setattr(process, "start_module", lambda *a, **k: started.append(start(*a, **k)) or started[-1])
    return started


@pytest.fixture(scope="module")
def whole(examples, tmp_path_factory):
    """A trial from beginning to end."""
    runner = TrialRunner(validate(CONFIG), examples, tmp_path_factory.mktemp("whole"), StopRequest())
    return runner.run(1, VALUES, lambda bits_per_char: False)


@pytest.fixture
def stop():
    return StopRequest()


@pytest.fixture
def runner(examples, tmp_path, stop):
    return TrialRunner(validate(CONFIG), examples, tmp_path, stop)


def test_trial_comes_to_the_lowest_of_its_evaluations(whole):
    assert (whole.state, whole.message) == ("completed", None)
    assert [epoch for epoch, _ in whole.evaluations] == [2, 4, 6]
    assert whole.bits_per_char == min(bits_per_char for _, bits_per_char in whole.evaluations)
    assert whole.evaluations[-1][1] < whole.evaluations[0][1]


def test_trial_that_is_pruned_ends_after_that_evaluation_and_leaves_nothing(runner, whole, tmp_path):
    told = []

    trial = runner.run(1, VALUES, lambda bits_per_char: told.append(bits_per_char) or True)

    assert (trial.state, trial.evaluations) == ("pruned", whole.evaluations[:1])
    assert (trial.bits_per_char, told) == (whole.evaluations[0][1], [whole.evaluations[0][1]])
    assert [path.name for path in tmp_path.iterdir()] == ["transforms"]


def test_trial_pruned_at_its_last_evaluation_is_completed(runner, whole):
    trial = runner.run(1, VALUES, lambda bits_per_char: bits_per_char == whole.evaluations[-1][1])

    assert (trial.state, trial.evaluations) == ("completed", whole.evaluations)


def test_trial_whose_process_is_killed_fails_and_says_so(runner, children):
    trial = runner.run(1, VALUES, lambda bits_per_char: children[0].kill())

    assert trial.state == "failed"
    assert trial.message.startswith("its process was ended by SIGKILL")


def test_trial_that_is_stopped_goes_on_as_if_it_had_never_stopped(runner, stop, children, whole):
    def stopping(bits_per_char):
        stop.received = signal.SIGTERM

    with pytest.raises(SystemExit) as error:
        runner.run(1, VALUES, stopping)
    assert error.value.code == 143
    assert children[0].returncode == 143
    with pytest.raises(SystemExit):
        runner.run(2, VALUES, stopping)
    assert len(children) == 1

    stop.received, told = None, []
    trial = runner.run(1, VALUES, lambda bits_per_char: told.append(bits_per_char))

    assert (trial.state, trial.bits_per_char, trial.evaluations) == (
        "completed",
        whole.bits_per_char,
        whole.evaluations,
    )
    assert told == [bits_per_char for _, bits_per_char in whole.evaluations]


def test_trial_process_ends_at_once_when_whoever_asked_is_gone(runner, children):
    class Gone(BaseException):
        """As if this process ended here: its end of the pipe is closed, and nobody kills the child."""

    def leave(bits_per_char):
        child = children[0]
        child.stdin.close()
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert child.returncode == 143
        raise Gone

    with pytest.raises(Gone):
        runner.run(1, VALUES, leave)


def test_trial_transform_that_refuses_fails_the_trial_with_its_message(runner):
    trial = runner.run(1, {"transform.lanes": 500}, lambda bits_per_char: False)

    assert trial.state == "failed"
    assert "Transform: the train split must fill one window per lane" in trial.message


def test_trial_of_an_invalid_combination_fails_without_a_process(runner, children):
    trial = runner.run(1, {"trainer.batch_size": 3}, lambda bits_per_char: False)

    assert (trial.state, children) == ("failed", [])
    assert "trainer.batch_size must divide transform.lanes=2; received 3" in trial.message


def test_trials_of_one_transform_section_share_what_it_makes(runner, tmp_path):
    for number, window_length in enumerate([6, 6, 9], 1):
        values = {"transform.window_length": window_length, "trainer.epochs": 1}
        assert runner.run(number, values, lambda bits_per_char: False).state == "completed"
        folders = {path.name: path.stat().st_ino for path in (tmp_path / "transforms").iterdir()}
        if number == 1:
            first = folders
    assert len(first) == 1
    assert len(folders) == 2
    assert first.items() < folders.items()
