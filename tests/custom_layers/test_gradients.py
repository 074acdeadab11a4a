"""The gradients of VanillaRNN in float64 against central differences of a NumPy loop, in every mode of a backend."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN
from custom_layers.recurrence import is_fused
from custom_layers.recurrence.fused import ACTIVATIONS

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BATCH, FEATURES, UNITS = 3, 4, 5
ARGUMENTS = ("sequences", "kernel", "recurrent kernel", "bias", "initial state")
KINKS = {"relu": [0], "hard_sigmoid": [-3, 3]}  # the a where the derivative jumps
SCALES = {"sigmoid": (1.5, 2), "hard_sigmoid": (2.5, 2)}  # of kernel and recurrent kernel, where not (1, 0.6)
EPSILON = 1e-6  # of the central differences: their error is of order ε² + 1e-16 / ε


@dataclass(frozen=True)
class Case:
    """One call with everything on: resets, a mask, a non-zero state, a bias and unequal sizes."""

    activation: str
    timesteps: int
    go_backwards: bool
    returns: str  # "sequences", "last" or "both": the sequences and the final state
    dropout: bool = False

    def __str__(self):
        direction = "backwards" if self.go_backwards else "forwards"
        return f"{self.activation}-{self.timesteps}-{direction}-{self.returns}" + "-dropout" * self.dropout


# TensorFlow's loop takes two timesteps a turn where their number is even and above two, JAX's takes four and does the
# rest apart. So 1 and 2 are one turn; 6 and 8 are several on TensorFlow; 5, 6, 7 and 9 have a rest on JAX, 8 has none.
CASES = [
    Case("tanh", 7, False, "sequences"),
    Case("tanh", 8, True, "last", dropout=True),
    Case("relu", 9, True, "sequences"),
    Case("sigmoid", 6, False, "last"),
    Case("hard_sigmoid", 7, True, "both"),
    Case("linear", 5, False, "sequences"),
    Case("elu", 7, True, "sequences"),
    Case("elu", 2, False, "last"),
    Case("tanh", 1, False, "both"),
    Case("relu", 2, True, "sequences"),
    # Every activation with every number of timesteps that is a case of its own.
    *(
        Case(activation, timesteps, timesteps == 2, "both")
        for activation in ("tanh", "relu", "sigmoid", "hard_sigmoid", "linear")
        for timesteps in (1, 2, 7)
    ),
]


def flags_of(timesteps, random):
    """Draw reset and mask, in the order that the timesteps are consumed in."""
    reset, mask = random.random((BATCH, timesteps)) < 0.3, random.random((BATCH, timesteps)) < 0.7
    reset[0], mask[0] = False, np.arange(timesteps) != 1 if timesteps > 2 else True  # the whole way without a reset
    reset[1, 0], mask[1, 0] = True, False  # both at once
    reset[2], mask[2, 0] = (np.arange(timesteps) == 3), timesteps == 1  # a part of the way; the first one is skipped
    mask[:, -1] |= timesteps > 1
    return {"reset": reset, "mask": mask}


def data_of(case, numpy_recurrence):
    """Draw arrays and flags until every activation is well on one side of its kinks, and both sides are met."""
    for seed in range(100):
        random = np.random.default_rng(seed)
        flags = {name: in_order(case, values) for name, values in flags_of(case.timesteps, random).items()}
        scales = SCALES.get(case.activation, (1, 0.6))
        arrays = [
            random.normal(size=(BATCH, case.timesteps, FEATURES)),
            scales[0] * random.normal(size=(FEATURES, UNITS)),
            scales[1] * random.normal(size=(UNITS, UNITS)),
            0.5 * random.normal(size=UNITS),
            random.normal(size=(BATCH, UNITS)),
        ]
        factors = {}
        if case.dropout:
            kept = [random.random((BATCH, size)) < 0.6 for size in (FEATURES, UNITS)]
            factors = {"dropout": kept[0] / 0.75, "recurrent_dropout": kept[1] / 0.5}
        data = {"arrays": arrays, **flags, **factors}
        a = activations_of(case, data, numpy_recurrence)[in_order(case, data["mask"])]
        kinks = KINKS.get(case.activation, [])
        if all(np.abs(a - kink).min() > 1e-3 and (a > kink).any() and (a < kink).any() for kink in kinks):
            return data
    raise AssertionError("no seed keeps away from the kinks: change the scales")


def in_order(case, values):
    """Turn values `[batch, timesteps, …]` into the order that they are consumed in, or back."""
    return values[:, ::-1] if case.go_backwards else values


def projected_of(case, data):
    sequences, kernel, _, bias, _ = data["arrays"]
    return in_order(case, (sequences * data["dropout"][:, None] if case.dropout else sequences) @ kernel + bias)


def numpy_states(case, data, numpy_recurrence):
    _, _, recurrent_kernel, _, initial_state = data["arrays"]
    flags = (in_order(case, data["reset"]), in_order(case, data["mask"]), data.get("recurrent_dropout"))
    return numpy_recurrence(projected_of(case, data), initial_state, recurrent_kernel, case.activation, *flags)


def activations_of(case, data, numpy_recurrence):
    """Return every a_t, what the activation is applied to."""
    states = numpy_states(case, data, numpy_recurrence)
    _, _, recurrent_kernel, _, initial_state = data["arrays"]
    previous = np.concatenate([initial_state[:, None], states[:, :-1]], axis=1)
    previous = np.where(in_order(case, data["reset"])[:, :, None], 0, previous)
    return projected_of(case, data) + previous @ recurrent_kernel  # of cases without recurrent dropout


def numpy_output(case, data, numpy_recurrence):
    states = numpy_states(case, data, numpy_recurrence)
    parts = {"sequences": [states], "last": [states[:, -1]], "both": [states, states[:, -1]]}[case.returns]
    return np.concatenate([part.ravel() for part in parts])


def numeric_gradients(case, data, weights, numpy_recurrence):
    gradients = []
    for array in data["arrays"]:
        gradient = np.zeros_like(array)
        for index in np.ndindex(*array.shape):
            kept = array[index]
            array[index] = kept + EPSILON
            above = numpy_output(case, data, numpy_recurrence) @ weights
            array[index] = kept - EPSILON
            gradient[index] = (above - numpy_output(case, data, numpy_recurrence) @ weights) / (2 * EPSILON)
            array[index] = kept
        gradients.append(gradient)
    return gradients


def layer_output(case, data):
    """Return the function (sequences, the three weights, initial state) -> all outputs of the layer in one vector."""
    rates = {"dropout": 0.25, "recurrent_dropout": 0.5} if case.dropout else {}
    layer = VanillaRNN(
        UNITS,
        activation=case.activation,
        go_backwards=case.go_backwards,
        return_sequences=case.returns != "last",
        return_state=case.returns == "both",
        dtype="float64",
        **rates,
    )
    layer.build((BATCH, case.timesteps, FEATURES))

    def function(sequences, kernel, recurrent_kernel, bias, initial_state):
        new_weights = (kernel, recurrent_kernel, bias)
        with keras.StatelessScope(state_mapping=list(zip(layer.weights, new_weights, strict=True))):
            outputs = layer(
                sequences, initial_state=initial_state, mask=data["mask"], reset=data["reset"], training=case.dropout
            )
        return keras.ops.concatenate([keras.ops.reshape(output, (-1,)) for output in keras.tree.flatten(outputs)])

    return function


def test_cases_cover_every_fused_activation_and_one_that_is_not():
    activations = {case.activation for case in CASES}
    assert set(ACTIVATIONS) <= activations
    assert [name for name in activations if not is_fused(name)] == ["elu"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_vanilla_rnn_float64_gradients_equal_numeric_ones(
    case, compiling_mode, numpy_recurrence, value_and_gradients, float64, monkeypatch
):
    data = data_of(case, numpy_recurrence)
    if case.dropout:  # the layer's two draws, replaced by known ones
        draws = {0.25: data["dropout"], 0.5: data["recurrent_dropout"]}
        monkeypatch.setattr(keras.random, "dropout", lambda ones, rate, seed: ones * draws[rate])
    expected = numpy_output(case, data, numpy_recurrence)
    weights = np.random.default_rng(1).normal(size=expected.shape)
    numeric = numeric_gradients(case, data, weights, numpy_recurrence)

    output, gradients = value_and_gradients(layer_output(case, data), data["arrays"], compiling_mode, weights)

    assert output.dtype == np.float64
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-12)
    for name, gradient, numeric_gradient in zip(ARGUMENTS, gradients, numeric, strict=True):
        assert np.abs(numeric_gradient).max() > 1e-3, f"negligible gradient of the {name}: the test would pass on zeros"
        assert gradient.dtype == np.float64, name
        np.testing.assert_allclose(gradient, numeric_gradient, rtol=1e-6, atol=1e-7, err_msg=name)
