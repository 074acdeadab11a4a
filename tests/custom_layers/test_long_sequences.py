"""Ten thousand timesteps: no stack trouble, memory in proportion to the timesteps, float32 near float64."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from custom_layers.recurrence import recurrence

TIMESTEPS, BATCH, UNITS = 10_000, 2, 16
COMPILED = {"tensorflow": "xla", "jax": "jit"}.get(keras.backend.backend(), "eager")


def long_example(timesteps=TIMESTEPS):
    """Inputs of order 1, a non-zero state, and a kernel whose powers shrink like 0.95^t."""
    random = np.random.default_rng(0)
    orthogonal = np.linalg.qr(random.normal(size=(UNITS, UNITS)))[0]
    return [
        random.normal(size=(BATCH, timesteps, UNITS)).astype("float32"),
        random.normal(size=(BATCH, UNITS)).astype("float32"),
        (0.95 * orthogonal).astype("float32"),
    ]


def numpy_states_and_gradients(projected, initial_state, kernel, weights):
    """Forward and backward in float64, as loops over time."""
    projected, state, kernel = (a.astype("float64") for a in (projected, initial_state, kernel))
    states = np.empty_like(projected)
    for t in range(projected.shape[1]):
        state = states[:, t] = np.tanh(projected[:, t] + state @ kernel)
    d_projected, d_kernel, chain = np.empty_like(projected), np.zeros_like(kernel), np.zeros_like(state)
    for t in reversed(range(projected.shape[1])):
        previous = states[:, t - 1] if t else initial_state
        d_projected[:, t] = (weights[:, t] + chain) * (1 - states[:, t] ** 2)
        d_kernel += previous.T @ d_projected[:, t]
        chain = d_projected[:, t] @ kernel.T
    return states, [d_projected, chain, d_kernel]


def test_recurrence_over_10000_timesteps_stays_near_float64(value_and_gradients):
    arrays = long_example()
    weights = np.random.default_rng(1).normal(size=arrays[0].shape)
    expected, expected_gradients = numpy_states_and_gradients(*arrays, weights)
    assert np.abs(expected[:, -100:]).min(axis=(1, 2)).max() > 1e-6  # the end is alive
    assert np.abs(expected[:, -1]).max() > 0.1

    states, gradients = value_and_gradients(lambda *a: recurrence(*a, "tanh"), arrays, COMPILED, weights)

    # The kernel contracts, so a rounding of 6e-8 fades by 0.95 a step: errors stay below 6e-8 / (1 - 0.95) = 1.2e-6 at
    # any length. A kernel's gradient sums 20,000 products of either sign; it is held to its own size.
    assert np.abs(states - expected).max() < 2e-6
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert np.abs(expected_gradient).max() > 1e-3
        assert np.abs(gradient - expected_gradient).max() < 1e-5 * max(1, np.abs(expected_gradient).max())


MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from custom_layers.recurrence import recurrence
import keras
timesteps, units, batch = int(sys.argv[1]), 64, 16
arrays = [np.full((batch, timesteps, units), 0.1, "float32"), np.ones((batch, units), "float32"),
          np.eye(units, dtype="float32")]
def peak():  # not getrusage's ru_maxrss: a child starts with its parent's there
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1))
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    @tf.function(jit_compile=True)
    def compute(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = tf.reduce_sum(recurrence(*tensors, "tanh") ** 2)
        return tape.gradient(loss, tensors)
    run = lambda arrays: [np.asarray(g) for g in compute(*map(tf.constant, arrays))]
else:
    import jax
    compute = jax.jit(jax.grad(lambda *a: (recurrence(*a, "tanh") ** 2).sum(), argnums=(0, 1, 2)))
    run = lambda arrays: [np.asarray(g) for g in compute(*arrays)]
run([a[:, :64] if a.ndim == 3 else a for a in arrays])  # libraries, compiler and thread pools have their memory now
before = peak()
run(arrays)
print((peak() - before) * 1024 / (timesteps * batch * units * 4))
"""


@pytest.mark.slow
def test_memory_grows_with_the_timesteps_and_no_faster():
    """The peak of a process at 40,000 timesteps is a few arrays `[timesteps, batch, units]`."""
    if keras.backend.backend() not in ("tensorflow", "jax"):
        pytest.skip("no gradients written for this backend")
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from Linux' /proc")
    command = [sys.executable, "-c", MEASURE, "40000"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    arrays = float(done.stdout.split()[-1])
    # States, gradient in and out, the two transposed for the batch-major caller, and the host's copy. An O(T²) loop
    # would need thousands.
    assert 1 < arrays < 12
