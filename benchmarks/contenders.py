"""One contender in a process of its own: `python -m benchmarks.contenders NAME`, driven by JSON lines.

It reads a size, builds the network on the given weights, answers with its first loss, and then times as many training
steps as it is asked for. A step is forward, loss, backward, clipping by global norm, and Adam.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import VOCABULARY, Size, data, weights

LEARNING_RATE, CLIP = 1e-3, 1.0
# A step returns its loss, read to the host, so that nothing is left running.
Step = Callable[[], float]


def keras_step(size: Size, layer: str, jit: bool, unroll: bool = False) -> Step:
    """This layer or Keras' SimpleRNN, in the trainer's own compiled step on the active backend."""
    import keras

    from custom_layers import VanillaRNN

    keras.config.set_dtype_policy("float32" if size.precision == "float32" else "mixed_bfloat16")
    kinds = {"vanilla": VanillaRNN, "simple": keras.layers.SimpleRNN}
    inputs = keras.Input(batch_shape=(size.batch, size.timesteps), dtype="int32")
    hidden = keras.layers.Lambda(lambda ids: keras.ops.one_hot(ids, VOCABULARY, dtype=keras.config.floatx()))(inputs)
    for _ in range(size.layers):
        hidden = kinds[layer](size.units, return_sequences=True, unroll=unroll)(hidden)
    outputs = keras.layers.Dense(VOCABULARY, dtype="float32")(hidden)
    model = keras.Model(inputs, outputs)
    model.set_weights(weights(size))
    optimizer = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=CLIP)
    optimizer.build(model.trainable_variables)
    x, y = data(size)
    make = tensorflow_step if keras.backend.backend() == "tensorflow" else jax_step
    return make(model, optimizer, x, y, jit)


def tensorflow_step(model: Any, optimizer: Any, x: np.ndarray, y: np.ndarray, jit: bool) -> Step:
    """A Keras model's training step as a TensorFlow function."""
    import keras
    import tensorflow as tf

    @tf.function(jit_compile=jit)
    def step(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = keras.ops.sparse_categorical_crossentropy(y, model(x, training=True), from_logits=True)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    x, y = tf.constant(x), tf.constant(y)
    return lambda: float(step(x, y))


def jax_step(model: Any, optimizer: Any, x: np.ndarray, y: np.ndarray, _jit: bool) -> Step:
    """A Keras model's training step as a JAX function."""
    import jax
    import keras

    def loss_of(trainable: Any, fixed: Any, x: Any, y: Any) -> Any:
        outputs, _ = model.stateless_call(trainable, fixed, x, training=True)
        return keras.ops.mean(keras.ops.sparse_categorical_crossentropy(y, outputs, from_logits=True))

    def step(trainable: Any, fixed: Any, state: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(trainable, fixed, x, y)
        trainable, state = optimizer.stateless_apply(state, gradients, trainable)
        return loss, trainable, state

    compiled = jax.jit(step, donate_argnums=(0, 2))
    fixed = [jax.numpy.copy(v.value) for v in model.non_trainable_variables]
    held = {
        "trainable": [jax.numpy.copy(v.value) for v in model.trainable_variables],
        "state": [jax.numpy.copy(v.value) for v in optimizer.variables],
    }
    x, y = jax.numpy.asarray(x), jax.numpy.asarray(y)

    def run() -> float:
        loss, held["trainable"], held["state"] = compiled(held["trainable"], fixed, held["state"], x, y)
        return float(loss)

    return run


def torch_step(size: Size) -> Step:
    """PyTorch's nn.RNN (cuDNN's on a CUDA device)."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rnn = torch.nn.RNN(VOCABULARY, size.units, size.layers, batch_first=True)
    readout = torch.nn.Linear(size.units, VOCABULARY)
    arrays = [torch.from_numpy(array) for array in weights(size)]
    with torch.no_grad():
        for layer in range(size.layers):
            kernel, recurrent, bias = arrays[3 * layer : 3 * layer + 3]
            getattr(rnn, f"weight_ih_l{layer}").copy_(kernel.T)
            getattr(rnn, f"weight_hh_l{layer}").copy_(recurrent.T)
            getattr(rnn, f"bias_ih_l{layer}").copy_(bias)
            getattr(rnn, f"bias_hh_l{layer}").zero_()
        readout.weight.copy_(arrays[-2].T)
        readout.bias.copy_(arrays[-1])
    rnn, readout = rnn.to(device), readout.to(device)
    parameters = [*rnn.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE)
    x, y = (torch.from_numpy(array).long().to(device) for array in data(size))
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=size.precision == "bfloat16")

    def step() -> float:
        optimizer.zero_grad()
        with mixed:
            hidden, _ = rnn(torch.nn.functional.one_hot(x, VOCABULARY).float())
            logits = readout(hidden)
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        return float(loss)

    return step


def gemm_step() -> Step:
    """A large single-precision product: what the machine can do at best."""
    a = np.random.default_rng(0).normal(size=(GEMM, GEMM)).astype(np.float32)
    out = np.empty_like(a)

    def step() -> float:
        np.matmul(a, a, out=out)
        return float(out[0, 0])

    return step


GEMM = 2048

# Name → (Keras backend or "", the step's maker).
CONTENDERS: dict[str, tuple[str, Callable[[Size], Step]]] = {
    "VanillaRNN, TensorFlow XLA": ("tensorflow", lambda size: keras_step(size, "vanilla", jit=True)),
    "VanillaRNN, TensorFlow": ("tensorflow", lambda size: keras_step(size, "vanilla", jit=False)),
    "VanillaRNN, JAX": ("jax", lambda size: keras_step(size, "vanilla", jit=True)),
    "SimpleRNN, TensorFlow XLA": ("tensorflow", lambda size: keras_step(size, "simple", jit=True)),
    "SimpleRNN, TensorFlow": ("tensorflow", lambda size: keras_step(size, "simple", jit=False)),
    "SimpleRNN, TensorFlow unrolled": ("tensorflow", lambda size: keras_step(size, "simple", False, unroll=True)),
    "SimpleRNN, TensorFlow XLA unrolled": ("tensorflow", lambda size: keras_step(size, "simple", True, unroll=True)),
    "SimpleRNN, JAX": ("jax", lambda size: keras_step(size, "simple", jit=True)),
    "PyTorch nn.RNN": ("", torch_step),
    "SGEMM": ("", lambda size: gemm_step()),
}


def main(name: str) -> None:
    """Serves one contender: a size comes in, then numbers of steps to time, one a line."""
    backend, make = CONTENDERS[name]
    os.environ["KERAS_BACKEND"] = backend or "tensorflow"
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    started = time.perf_counter()
    step = make(Size(**json.loads(sys.stdin.readline())))
    losses = [step()]
    seconds = time.perf_counter() - started
    losses.append(step())  # after an update: it tells of the gradients, of clipping and of Adam
    print(json.dumps({"losses": losses, "compile_s": seconds}), file=answers, flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            step()
        seconds = time.perf_counter() - started
        status = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
        print(json.dumps({"seconds": seconds, "peak_mib": peak}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
