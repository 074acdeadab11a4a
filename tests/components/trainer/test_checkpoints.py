"""Checkpoints: whole or refused, rotated, one process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components import workspace
from components.trainer import checkpoints
from components.trainer.checkpoints import Checkpoint, CheckpointStore, DamagedCheckpoint, decode, encode


def sample(step=7):
    random = np.random.default_rng(step)
    arrays = {
        "variable.0": random.normal(size=(3, 5)).astype("float32"),
        "variable.1": np.asarray(9, "int64"),
        "state.0": np.asarray([np.nan, np.inf, -0.0], "float32"),
        "figures": np.zeros((0, 5)),
    }
    return Checkpoint(step, arrays, {"epoch": 2, "best": None, "settings": {"a": [1, "ü"]}})


def assert_equal(one, other):
    assert (one.step, one.values, one.arrays.keys()) == (other.step, other.values, other.arrays.keys())
    for name, array in one.arrays.items():
        assert (array.dtype, array.shape) == (other.arrays[name].dtype, other.arrays[name].shape)
        assert array.tobytes() == other.arrays[name].tobytes()


def test_decode_of_encode_is_the_same_bit_for_bit():
    assert_equal(decode(b"".join(encode(sample()))), sample())


def test_decode_any_truncation_is_refused():
    content = b"".join(encode(sample()))

    for length in range(0, len(content), 7):
        with pytest.raises(DamagedCheckpoint):
            decode(content[:length])
    decode(content)  # guard: the whole is fine


def test_decode_any_changed_byte_is_refused():
    content = b"".join(encode(sample()))

    for place in np.random.default_rng(3).integers(0, len(content), 50).tolist():
        changed = bytearray(content)
        changed[place] ^= 0x10
        with pytest.raises(DamagedCheckpoint):
            decode(bytes(changed))


def test_store_keeps_the_newest_and_nothing_else(tmp_path):
    with CheckpointStore(tmp_path / "work", keep=2) as store:
        for step in (1, 5, 30, 1000):
            store.save(sample(step))
        names = sorted(path.name for path in (tmp_path / "work").iterdir())

        assert names == ["lock", "step-000000000030.ckpt", "step-000000001000.ckpt"]
        assert_equal(store.newest(pytest.fail), sample(1000))


def test_store_empty_has_none(tmp_path):
    with CheckpointStore(tmp_path, keep=2) as store:
        assert store.newest(pytest.fail) is None


def test_store_damaged_newest_falls_back_says_so_and_removes_it(tmp_path):
    notes = []
    with CheckpointStore(tmp_path, keep=3) as store:
        paths = [store.save(sample(step)) for step in (1, 2, 3)]
        paths[2].write_bytes(paths[2].read_bytes()[:-1])

        assert_equal(store.newest(notes.append), sample(2))

        assert len(notes) == 1
        assert f"{paths[2]} is damaged" in notes[0]
        assert not paths[2].exists()


def test_store_all_damaged_is_refused_and_removes_nothing(tmp_path):
    with CheckpointStore(tmp_path, keep=3) as store:
        paths = [store.save(sample(step)) for step in (1, 2)]
        for path in paths:
            path.write_bytes(b"torn")

        with pytest.raises(DamagedCheckpoint, match=r"one checkpoint must be whole.*all 2 are damaged.*Delete"):
            store.newest(lambda note: None)

        assert [path.read_bytes() for path in paths] == [b"torn", b"torn"]


def test_store_failing_write_leaves_the_old_checkpoint_alone(tmp_path, monkeypatch):
    with CheckpointStore(tmp_path, keep=3) as store:
        store.save(sample(1))

        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.save(sample(2))

        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "step-000000000001.ckpt"]
        assert_equal(store.newest(pytest.fail), sample(1))


def test_store_removes_what_a_dead_process_half_wrote(tmp_path):
    (tmp_path / ".step-000000000009.ckpt.tmp").write_bytes(b"half")

    with CheckpointStore(tmp_path, keep=3) as store:
        assert store.newest(pytest.fail) is None

    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


_HOLDING = """
import sys
from pathlib import Path
from components.trainer.checkpoints import CheckpointStore
with CheckpointStore(Path(sys.argv[1]), keep=2):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_store_of_another_living_process_is_refused_and_of_a_dead_one_not(tmp_path):
    source = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", _HOLDING, str(tmp_path)]
    with subprocess.Popen(command, cwd=source, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RuntimeError, match="one process at a time may train"), CheckpointStore(tmp_path, keep=2):
            pass
        other.kill()
        other.wait()

    with CheckpointStore(tmp_path, keep=2) as store:
        assert store.newest(pytest.fail) is None


def test_remove_of_a_folder_in_use_is_refused(tmp_path):
    with CheckpointStore(tmp_path / "work", keep=2) as store:
        path = store.save(sample())
        with pytest.raises(RuntimeError, match="one process at a time may train"):
            workspace.remove(tmp_path / "work", checkpoints.ONE_AT_A_TIME)
        assert path.exists()


def test_is_finite_looks_at_the_variables_alone():
    good = sample()
    assert good.is_finite()  # its state is not
    bad = Checkpoint(1, {**good.arrays, "variable.0": np.asarray([1.0, np.inf])}, {})
    assert not bad.is_finite()


def test_remove_takes_the_folder_and_an_empty_parent(tmp_path):
    with CheckpointStore(tmp_path / "checkpoints" / "trainer", keep=2) as store:
        store.save(sample())

    workspace.remove(tmp_path / "checkpoints" / "trainer", checkpoints.ONE_AT_A_TIME)
    workspace.remove(tmp_path / "checkpoints" / "trainer", checkpoints.ONE_AT_A_TIME)  # gone already

    assert list(tmp_path.iterdir()) == []
