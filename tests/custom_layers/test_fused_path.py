"""What docs/recurrence.md calls fused takes the fused path, forward and backward; what it does not, does not."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN
from custom_layers.recurrence import fused, reference

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

DOCUMENT = Path(__file__).parents[2] / "docs" / "recurrence.md"
BATCH, TIMESTEPS, FEATURES, UNITS = 3, 6, 4, 5

# Row of the document's table → constructor arguments, and call arguments.
SETTINGS = {
    **{f"activation {name}": ({"activation": name}, {}) for name in ("tanh", "relu", "sigmoid", "hard_sigmoid")},
    "activation linear": ({"activation": None}, {}),
    "initial_state": ({}, {"initial_state": np.ones((BATCH, UNITS), "float32")}),
    "reset": ({}, {"reset": np.eye(BATCH, TIMESTEPS, dtype=bool)}),
    "mask": ({}, {"mask": np.arange(TIMESTEPS) < np.array([[6], [4], [1]])}),
    "offset": ({}, {"offset": np.full((BATCH, TIMESTEPS, UNITS), 0.1, "float32")}),
    "offset of one timestep": ({}, {"offset": np.full((BATCH, 1, UNITS), 0.1, "float32")}),
    "go_backwards": ({"go_backwards": True}, {}),
    "dropout": ({"dropout": 0.5}, {"training": True}),
    "recurrent_dropout": ({"recurrent_dropout": 0.5}, {"training": True}),
    "stateful": ({"stateful": True}, {}),
    "unroll": ({"unroll": True}, {}),
    "return_sequences": ({"return_sequences": True}, {}),
    "return_state": ({"return_state": True}, {}),
    "mixed_bfloat16": ({"dtype": "mixed_bfloat16"}, {}),
    "float64": ({"dtype": "float64"}, {}),
    "any number of timesteps": ({}, {}),
    "any batch size": ({}, {}),
}


@pytest.fixture
def spy(monkeypatch):
    """Count the calls of the fused forward and backward maths, and of the reference loop."""
    calls = {"forward": 0, "backward": 0, "reference": 0}

    def counting(name, function):
        def counted(*arguments, **keywords):
            calls[name] += 1
            return function(*arguments, **keywords)

        return counted

    monkeypatch.setattr(fused, "forward", counting("forward", fused.forward))
    monkeypatch.setattr(fused, "backward", counting("backward", fused.backward))
    monkeypatch.setattr(reference, "recurrence", counting("reference", reference.recurrence))
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()  # compiled functions of earlier tests would call nothing
    return calls


def gradient_of(layer, sequences, value_and_gradients, **keywords):
    """Return the gradient of the summed outputs with respect to the sequences."""

    def function(sequences):
        outputs = keras.tree.flatten(layer(sequences, **keywords))
        return keras.ops.concatenate([keras.ops.reshape(keras.ops.cast(o, "float32"), (-1,)) for o in outputs])

    return value_and_gradients(function, [sequences])[1][0]


def sequences(batch=BATCH, timesteps=TIMESTEPS):
    return np.random.default_rng(0).normal(size=(batch, timesteps, FEATURES)).astype("float32")


def test_document_names_every_setting_that_is_tested_and_no_other():
    section = DOCUMENT.read_text("utf-8").split("## What is fused")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert rows == list(SETTINGS)
    assert {row.removeprefix("activation ") for row in rows if row.startswith("activation ")} == set(fused.ACTIVATIONS)


@pytest.mark.parametrize("setting", SETTINGS)
def test_documented_setting_takes_the_fused_path_forward_and_backward(setting, spy, value_and_gradients, float64):
    arguments, keywords = SETTINGS[setting]
    shapes = [(BATCH, TIMESTEPS)]
    if setting == "any number of timesteps":
        shapes = [(BATCH, timesteps) for timesteps in (1, 2, 3, 4, 5, 9)]
    elif setting == "any batch size":
        shapes = [(1, TIMESTEPS), (7, TIMESTEPS)]
    for count, shape in enumerate(shapes, start=1):
        layer = VanillaRNN(UNITS, **arguments)
        gradient = gradient_of(layer, sequences(*shape), value_and_gradients, **keywords)
        assert np.abs(gradient).max() > 1e-3
        assert spy["reference"] == 0
        assert spy["forward"] >= count
        assert spy["backward"] >= count


@pytest.mark.parametrize("xla", [False, True])
def test_unknown_batch_size_and_number_of_timesteps_take_the_fused_path(xla, spy):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow traces unknown sizes")
    import tensorflow as tf

    layer = VanillaRNN(UNITS, return_sequences=True)

    @tf.function(input_signature=[tf.TensorSpec([None, None, FEATURES])], jit_compile=xla)
    def compute(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, x)

    assert np.abs(compute(tf.constant(sequences()))).max() > 1e-3
    assert spy["reference"] == 0
    assert spy["forward"] >= 1
    assert spy["backward"] >= 1


def test_other_activation_takes_the_reference_loop(spy, value_and_gradients):
    gradient_of(VanillaRNN(UNITS, activation="elu"), sequences(), value_and_gradients)
    assert spy["reference"] >= 1
    assert spy["forward"] == spy["backward"] == 0
