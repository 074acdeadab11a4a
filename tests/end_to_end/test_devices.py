"""The main job with two devices, which are virtual ones of this CPU, on either backend."""

import json
import os
import subprocess
import sys

import pytest

from tests.end_to_end.command_line import REPOSITORY, SMALL

pytestmark = pytest.mark.slow

# TensorFlow, unlike JAX, has no environment variable for virtual devices.
CODE = """
import os, sys
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from pipeline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(backend, root, devices):
    settings = ["example_gen.source=inline:" + "hello " * 6, "transform.lanes=4", f"trainer.devices={devices}"]
    settings.append("evaluator.thresholds={bits_per_char: {upper: 100}}")
    options = [*SMALL, *(word for setting in settings for word in ("--set", setting))]
    arguments = ["run", "--config", "hello", "--root", str(root), *options, "--to", "evaluator", "--json"]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    command = [sys.executable, "-W", "ignore", "-c", CODE, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=REPOSITORY)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One for all: what comes before the trainer is done once."""
    return tmp_path_factory.mktemp("root")


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_run_on_two_devices_evaluates_as_on_one(backend, root):
    found = []
    for devices in (1, 2):
        done = run(backend, root, devices)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout.splitlines()[-1])
        statuses = {stage["name"]: stage["status"] for stage in summary["stages"]}
        assert statuses["trainer"] == statuses["evaluator"] == "ran"
        found.append(summary["metrics"]["eval"])

    one, two = found
    assert two["nats"] == pytest.approx(one["nats"], rel=1e-5)
    assert two["tokens"] == one["tokens"]


@pytest.mark.parametrize(("backend", "hint"), [("tensorflow", "tf.config"), ("jax", "XLA_FLAGS=")])
def test_run_on_more_devices_than_there_are_fails_and_says_how_many(backend, hint, root):
    done = run(backend, root, 4)

    assert done.returncode == 1
    assert "trainer.devices must be at most 2, the number that there is. Received: trainer.devices=4." in done.stderr
    assert hint in done.stderr
