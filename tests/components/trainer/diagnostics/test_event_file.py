"""The event file, read back by TensorBoard's own reader."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.trainer.diagnostics.event_file import write_events
from tests.histories import step, whole


def read(folder):
    """Tag → [(step, wall time, array)], as TensorBoard has them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {
        tag: [(e.step, e.wall_time, make_ndarray(e.tensor_proto)) for e in accumulator.Tensors(tag)]
        for tag in accumulator.Tags()["tensors"]
    }


def test_event_file_holds_every_number_of_the_history(tmp_path):
    history = whole()

    write_events(history, tmp_path)

    found = read(tmp_path)
    for tag, key in (("train/nats", "nats"), ("train/clip_rate", "clipped"), ("train/learning_rate", "learning_rate")):
        expected = [(entry["step"], entry["seconds"], entry[key]) for entry in history if key in entry]
        # The time of an evaluation at the same step is later.
        assert [s for s, _, _ in found[tag]] == [s for s, _, _ in expected]
        np.testing.assert_allclose([v for _, _, v in found[tag]], [v for _, _, v in expected], rtol=1e-6)
    assert [(s, t, float(v)) for s, t, v in found["eval/bits_per_char"]] == [(100, 11.0, 2.5), (200, 21.0, 2.25)]
    assert [(s, float(v)) for s, _, v in found["layer_2/factor"]] == [
        (100, pytest.approx(0.9)),
        (200, pytest.approx(0.95)),
    ]
    assert [(s, float(v)) for s, _, v in found["train/bad_steps"]] == [(152, 1.0), (153, 2.0)]
    assert [(s, float(v)) for s, _, v in found["update_ratio/kernel"]] == [(200, pytest.approx(1.5e-3))]


def test_event_file_holds_the_histograms_as_buckets(tmp_path):
    write_events(whole(), tmp_path)

    ((at, _, buckets), _) = read(tmp_path)["layer_1/h"]
    assert at == 100
    expected = [[-1, -0.5, 0.1], [-0.5, 0, 0.4], [0, 0.5, 0.4], [0.5, 1, 0.1]]
    np.testing.assert_allclose(buckets, expected)


def test_event_file_of_a_training_gone_on_with_has_no_gaps_and_no_doubles(tmp_path):
    history = whole()
    write_events(history[:9], tmp_path / "resumed")

    path = write_events(history, tmp_path / "resumed")
    straight = write_events(history, tmp_path / "straight")

    assert path.read_bytes() == straight.read_bytes()
    assert [file.name for file in (tmp_path / "resumed").iterdir()] == [path.name]
    steps = [number for number, _, _ in read(tmp_path / "resumed")["train/nats"]]
    assert steps == sorted(set(steps))
    assert len(steps) == 20


def test_event_file_of_steps_taken_twice_has_the_last(tmp_path):
    write_events([step(10), step(20, nats=9.0), step(20, nats=1.0), step(30)], tmp_path)

    assert [(s, float(v)) for s, _, v in read(tmp_path)["train/nats"]][1] == (20, 1.0)


@pytest.mark.parametrize(
    "history",
    [[], [step(10, nats=None, gradient_norm=None)], [{"step": 1, "event": {"cause": "loss", "action": "fail"}}]],
)
def test_event_file_of_hardly_anything_can_be_read(history, tmp_path):
    write_events(history, tmp_path)

    assert "train/nats" not in read(tmp_path)


def test_event_file_needs_no_tensorflow_and_no_keras():
    code = (
        "import sys, components.trainer.diagnostics.event_file, components.trainer.diagnostics.page;"
        "print([m for m in ('tensorflow', 'keras', 'jax', 'matplotlib.pyplot') if m in sys.modules])"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
