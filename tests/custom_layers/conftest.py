"""What the layer tests share: an independent NumPy recurrence, and gradients in every mode of the active backend."""

import keras
import numpy as np
import pytest

BACKEND = keras.backend.backend()
MODES = {"tensorflow": ("eager", "function", "xla"), "jax": ("eager", "jit")}


@pytest.fixture(params=["eager", "function", "xla", "jit"])
def mode(request):
    """Each way to run a computation; those of another backend are skipped."""
    if request.param not in MODES.get(BACKEND, ()):
        pytest.skip(f"{request.param} is not a mode of the backend {BACKEND}")
    return request.param


@pytest.fixture
def compiling_mode(mode):
    """`mode` without what would only compile the same again."""
    if (BACKEND, mode) == ("jax", "eager"):
        pytest.skip("on JAX the fused loop is a compiled function in eager mode too")
    return mode


@pytest.fixture
def float64():
    """Let JAX compute in float64 during a test; the test asserts the dtype it gets."""
    if BACKEND != "jax":
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield


@pytest.fixture
def value_and_gradients():
    """Return a function (f, arrays, mode) -> f's output and the gradients of sum(f · weights), all NumPy."""
    return _value_and_gradients


def _value_and_gradients(function, arrays, mode="eager", weights=None):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def compute(*tensors):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                output = function(*tensors)
                loss = tf.reduce_sum(output * (1 if weights is None else tf.constant(weights, output.dtype)))
            return output, tape.gradient(loss, tensors)

        if mode != "eager":
            compute = tf.function(compute, jit_compile=mode == "xla")
        output, gradients = compute(*map(tf.constant, arrays))
    elif BACKEND == "jax":
        import jax

        def loss_and_output(*tensors):
            output = function(*tensors)
            return (output * (1 if weights is None else weights.astype(output.dtype))).sum(), output

        compute = jax.value_and_grad(loss_and_output, argnums=tuple(range(len(arrays))), has_aux=True)
        if mode == "jit":
            compute = jax.jit(compute)
        (_, output), gradients = compute(*map(jax.numpy.asarray, arrays))
    else:
        pytest.skip(f"no gradients written for the backend {BACKEND}")
    return np.asarray(output), [np.asarray(g) for g in gradients]


@pytest.fixture
def numpy_recurrence():
    """Return the recurrence as plain NumPy loops over rows and timesteps, sharing nothing with the code under test."""
    return _numpy_recurrence


def _numpy_recurrence(projected, initial_state, kernel, activation, reset=None, mask=None, dropout_mask=None):
    batch, timesteps, _ = projected.shape
    states = np.empty_like(projected)
    for b in range(batch):
        h = initial_state[b].copy()
        for t in range(timesteps):
            if reset is not None and reset[b, t]:
                h = np.zeros_like(h)
            if mask is None or mask[b, t]:
                d = h if dropout_mask is None else h * dropout_mask[b]
                h = NUMPY_ACTIVATIONS[activation](projected[b, t] + d @ kernel)
            states[b, t] = h
    return states


NUMPY_ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "hard_sigmoid": lambda a: np.clip(a / 6 + 0.5, 0, 1),
    "linear": lambda a: a,
    "elu": lambda a: np.where(a > 0, a, np.expm1(np.minimum(a, 0))),
}


@pytest.fixture
def example():
    """Return a function (timesteps, dtype) -> arguments with a non-zero state, unequal sizes, resets and a mask."""
    return _example


def _example(timesteps=7, dtype="float32", batch=3, units=5, seed=0):
    random = np.random.default_rng(seed)
    reset = random.random((batch, timesteps)) < 0.3
    mask = random.random((batch, timesteps)) < 0.7
    reset[0, -1], mask[0, -1] = True, True
    reset[1, 0], mask[1, 0] = True, False  # both at once
    dropout_mask = (random.random((batch, units)) < 0.6) / 0.6
    return {
        "projected": random.normal(size=(batch, timesteps, units)).astype(dtype),
        "initial_state": random.normal(size=(batch, units)).astype(dtype),
        "recurrent_kernel": (0.6 * random.normal(size=(units, units))).astype(dtype),
        "reset": reset,
        "mask": mask,
        "dropout_mask": dropout_mask.astype(dtype),
    }
