"""A training that is stopped, in whatever way, and goes on: bit for bit as if it had never stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.tasks import files
from components.tasks.language_model import LanguageModel
from components.trainer import checkpoints, resume
from components.trainer.checkpoints import decode
from components.trainer.loop import train
from components.trainer.training import Training
from tests.components.trainer.training_process import CONFIG, VOCABULARY, read_corpus
from tests.testing import stream_of, write_lanes

pytestmark = pytest.mark.slow

SOURCE_ROOT = Path(__file__).resolve().parents[3]
WALL_TIMES = {"seconds"}
# Without what other processes have compiled, as users' are.
COMPILES_ITSELF = {"TF_XLA_FLAGS": "", "JAX_ENABLE_COMPILATION_CACHE": "false"}


@pytest.fixture(scope="module")
def lanes(tmp_path_factory):
    random = np.random.default_rng(5)
    documents = [random.integers(3, 7, length).tolist() for length in (9, 3, 14, 1, 20, 11, 8)]
    splits = {"train": (stream_of(documents, VOCABULARY.end), 4), "eval": (stream_of(documents[:2], VOCABULARY.end), 1)}
    return write_lanes(tmp_path_factory.mktemp("lanes") / "lanes", splits, 6, len(VOCABULARY))


def run_process(folder, kill_at=None, moment=None, **environment):
    """Trains in a process of its own; returns the step it resumed from, if it came to its end, and what it told."""
    script = ["components.child_process", "tests.components.trainer.training_process", str(folder)]
    options = [str(option) for option in (kill_at, moment) if option is not None]
    command = [sys.executable, "-W", "ignore", "-m", *script, *options]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE_ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if kill_at is None else -signal.SIGKILL), done.stderr
    if kill_at is not None:
        return None, done.stderr
    return json.loads((folder / "outcome.json").read_text("utf-8"))["resumed_from_step"], done.stderr


def start(folder, lanes):
    folder.mkdir()
    shutil.copytree(lanes, folder / "lanes")
    return folder


def series(folder):
    """The history without what depends on the clock."""
    entries = [json.loads(line) for line in (folder / "history.jsonl").read_text("utf-8").splitlines()]
    return [{key: value for key, value in entry.items() if key not in WALL_TIMES} for entry in entries]


def final_arrays(folder):
    """Weights, optimizer, random generators, states, best weights after the last update."""
    return decode(sorted((folder / "work").glob("*.ckpt"))[-1].read_bytes())


def assert_same(one, other):
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
    assert (one.step, one.arrays.keys()) == (other.step, other.arrays.keys())
    different = {"history", "seconds"}  # wall times, and the bytes that they take
    assert {key: value for key, value in one.values.items() if key not in different} == {
        key: value for key, value in other.values.items() if key not in different
    }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, lanes):
    folder = start(tmp_path_factory.mktemp("whole") / "run", lanes)
    resumed_from_step, _ = run_process(folder, **COMPILES_ITSELF)
    assert resumed_from_step is None
    return folder


def test_train_killed_at_five_steps_ends_as_uninterrupted(tmp_path, lanes, uninterrupted):
    whole = final_arrays(uninterrupted)
    assert whole.step == 30
    kills = sorted(np.random.default_rng(1).choice(np.arange(1, whole.step), 5, replace=False).tolist())
    folder = start(tmp_path / "run", lanes)

    for step in kills:
        run_process(folder, kill_at=step)
    resumed_from_step, told = run_process(folder)

    last_saved = kills[-1] - kills[-1] % 3
    assert resumed_from_step == last_saved
    assert f"Going on from step {last_saved}." in told
    assert_same(final_arrays(folder), whole)
    assert series(folder / "output") == series(uninterrupted / "output")
    entries = series(folder / "output")
    assert [entry["step"] for entry in entries] == sorted(entry["step"] for entry in entries)
    assert len({json.dumps(entry) for entry in entries}) == len(entries)


@pytest.mark.parametrize(("moment", "resumed"), [("sync", 12), ("rename", 12), ("rotate", 15)])
def test_train_killed_in_a_save_ends_as_uninterrupted(moment, resumed, tmp_path, lanes, uninterrupted):
    folder = start(tmp_path / "run", lanes)
    run_process(folder, kill_at=15, moment=moment)
    left = sorted(path.name for path in (folder / "work").glob(".*.tmp"))
    assert bool(left) == (moment != "rotate")

    resumed_from_step, _ = run_process(folder)

    assert resumed_from_step == resumed
    assert not list((folder / "work").glob(".*.tmp"))
    assert_same(final_arrays(folder), final_arrays(uninterrupted))
    assert series(folder / "output") == series(uninterrupted / "output")


def test_train_newest_checkpoint_torn_at_any_byte_falls_back_and_ends_as_uninterrupted(tmp_path, lanes, uninterrupted):
    whole = final_arrays(uninterrupted)
    killed = start(tmp_path / "killed", lanes)
    run_process(killed, kill_at=17)
    newest = sorted((killed / "work").glob("*.ckpt"))[-1]
    assert newest.name == "step-000000000015.ckpt"
    size = newest.stat().st_size

    for number, length in enumerate(np.random.default_rng(2).integers(0, size, 2).tolist()):
        folder = tmp_path / str(number)
        shutil.copytree(killed, folder)
        with (folder / "work" / newest.name).open("r+b") as file:
            file.truncate(length)

        resumed_from_step, told = run_process(folder)

        assert resumed_from_step == 12
        assert "is damaged" in told
        assert newest.name in told
        assert_same(final_arrays(folder), whole)
        assert series(folder / "output") == series(uninterrupted / "output")


# ---- In this process ------------------------------------------------------------------------------------------------


def train_here(folder, lanes, settings=None, config=CONFIG):
    (folder / "output").mkdir(parents=True, exist_ok=True)
    model = LanguageModel(len(VOCABULARY), units=5, layers=2, seed=3, input_dropout=0.1, recurrent_dropout=0.2)
    return train(model, read_corpus(lanes), config, folder / "output", folder / "work", settings or {"a": 1})


def interrupt_before(monkeypatch, step, number=signal.SIGTERM):
    """Sends this process a signal right before an update."""
    take = Training._take

    def interrupted(training, *arguments):
        if training.step == step:
            os.kill(os.getpid(), number)
        take(training, *arguments)

    monkeypatch.setattr(Training, "_take", interrupted)


@pytest.fixture
def _heeds_interrupts():
    """Tests that are run from the background of a script ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeds_interrupts")
@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGTERM, SystemExit, 143), (signal.SIGINT, KeyboardInterrupt, None)]
)
def test_train_signal_saves_and_stops_and_the_next_goes_on(
    tmp_path, lanes, uninterrupted, monkeypatch, number, error, code, capfd
):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        interrupt_before(patch, 10, number)
        with pytest.raises(error) as raised:
            train_here(tmp_path / "run", lanes)
    assert code is None or raised.value.code == code
    assert signal.getsignal(number) is before
    assert f"Stopped by {number.name} after step 11" in capfd.readouterr().err
    assert not any((tmp_path / "run" / "output").iterdir())

    assert train_here(tmp_path / "run", lanes).resumed_from_step == 11

    assert_same(final_arrays(tmp_path / "run"), final_arrays(uninterrupted))
    assert series(tmp_path / "run" / "output") == series(uninterrupted / "output")


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory, lanes):
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        interrupt_before(patch, 10)
        with pytest.raises(SystemExit):
            train_here(folder, lanes, {"a": 1, "trainer": {"epochs": 3}})
    return folder


@pytest.fixture
def stopped(tmp_path, stopped_once):
    """A training that was stopped after step 11 with the settings {"a": 1, "trainer": {"epochs": 3}}."""
    return shutil.copytree(stopped_once, tmp_path / "stopped")


def test_train_changed_settings_are_refused_with_their_names(stopped, lanes):
    before = sorted((stopped / "work").iterdir())

    with pytest.raises(ValueError, match=r"must keep its settings\. Received: a: 1 → 2, .* step 11.*--force trainer"):
        train_here(stopped, lanes, {"a": 2, "trainer": {"epochs": 4}})

    assert sorted((stopped / "work").iterdir()) == before
    assert train_here(stopped, lanes, {"a": 1, "trainer": {"epochs": 3}}).resumed_from_step == 11


def test_train_settings_that_may_change_are_told_and_gone_on_with(stopped, lanes, capfd):
    longer = CONFIG.model_copy(update={"epochs": 4})

    outcome = train_here(stopped, lanes, {"a": 1, "trainer": {"epochs": 4}}, longer)

    assert outcome.resumed_from_step == 11
    assert "Going on from step 11, with trainer.epochs: 3 → 4." in capfd.readouterr().err
    assert series(stopped / "output")[-1]["epoch"] == 4


def test_train_done_before_with_other_settings_is_refused_and_kept(tmp_path, lanes, uninterrupted):
    shutil.copytree(uninterrupted / "work", tmp_path / "work")  # its checkpoints stay: nobody published its output
    before = sorted(path.name for path in (tmp_path / "work").iterdir())

    with pytest.raises(ValueError, match="must keep its settings"):
        train_here(tmp_path, lanes, {"a": 2})

    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == before


def test_train_done_before_with_more_epochs_goes_on(tmp_path, lanes, uninterrupted):
    shutil.copytree(uninterrupted / "work", tmp_path / "work")
    longer = CONFIG.model_copy(update={"epochs": 4})

    outcome = train_here(tmp_path, lanes, {"a": 1, "trainer": {"epochs": 4}}, longer)

    assert (outcome.resumed_from_step, outcome.steps) == (30, 40)


def test_train_epochs_lowered_to_what_is_done_ends_there(tmp_path, lanes, uninterrupted):
    shutil.copytree(uninterrupted / "work", tmp_path / "work")
    shorter = CONFIG.model_copy(update={"epochs": 2})

    outcome = train_here(tmp_path, lanes, {"a": 1, "trainer": {"epochs": 2}}, shorter)

    assert outcome.steps == 30
    assert series(tmp_path / "output") == series(uninterrupted / "output")


def test_train_history_lost_is_refused_before_any_step(stopped, lanes):
    (stopped / "work" / "history.jsonl").unlink()

    with pytest.raises(ValueError, match=r"history must be as long as its checkpoint says.*of 0 bytes"):
        train_here(stopped, lanes, {"a": 1, "trainer": {"epochs": 3}})


def test_train_signal_while_the_last_checkpoint_is_written_stops(tmp_path, lanes, monkeypatch):
    save = checkpoints.CheckpointStore.save

    def interrupted(store, checkpoint):
        if checkpoint.step == 30:
            os.kill(os.getpid(), signal.SIGTERM)
        return save(store, checkpoint)

    monkeypatch.setattr(checkpoints.CheckpointStore, "save", interrupted)
    with pytest.raises(SystemExit):
        train_here(tmp_path, lanes)
    assert final_arrays(tmp_path).step == 30


def test_train_done_before_with_the_same_settings_is_written_again(tmp_path, lanes, uninterrupted):
    shutil.copytree(uninterrupted / "work", tmp_path / "work")

    outcome = train_here(tmp_path, lanes)

    assert outcome.resumed_from_step == outcome.steps > 20
    assert series(tmp_path / "output") == series(uninterrupted / "output")
    weights = files.load(tmp_path / "output").get_weights()
    for ours, theirs in zip(weights, files.load(uninterrupted / "output").get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_changes_between_nested_settings_are_named_by_their_keys():
    before = {"trainer": {"optimizer": {"name": "adam"}, "epochs": 2}, "model": {"units": 3}}
    now = {"trainer": {"optimizer": {"name": "sgd"}, "epochs": 2}, "model": {"units": 3, "layers": 1}}

    assert resume.changes(before, now) == {"trainer.optimizer.name": "adam → sgd", "model.layers": "(absent) → 1"}
    assert resume.changes(now, now) == {}


def test_may_change_names_keys_of_the_configuration():
    flat = dict(resume._flat({"trainer": CONFIG.model_dump()}))

    assert flat.keys() >= resume.MAY_CHANGE
