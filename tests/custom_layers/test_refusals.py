"""Bad arguments of VanillaRNN and VanillaRNNCell, each refused in the house's error template."""

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN, VanillaRNNCell

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 6, 4, 5


def sequences():
    return np.ones((BATCH, TIMESTEPS, FEATURES), "float32")


def initial_state(batch=BATCH):
    return np.ones((batch, UNITS), "float32")


def call_with(**kwargs):
    return VanillaRNN(UNITS)(sequences(), **kwargs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: VanillaRNN(0), ValueError, "VanillaRNN: units must be a positive integer. Received: units=0. Pass"),
        (lambda: VanillaRNN(-3), ValueError, "Received: units=-3"),
        (lambda: VanillaRNN(2.5), TypeError, "Received: units=2.5"),
        (lambda: VanillaRNN("8"), TypeError, "Received: units='8'"),
        (lambda: VanillaRNN(True), TypeError, "Received: units=True"),
        (lambda: VanillaRNNCell(0), ValueError, "VanillaRNNCell: units must be a positive integer"),
        (
            lambda: VanillaRNN(4, dropout=1.5),
            ValueError,
            r"dropout must be a number in \[0, 1\). Received: dropout=1.5",
        ),
        (lambda: VanillaRNN(4, recurrent_dropout="x"), TypeError, "Received: recurrent_dropout='x'"),
        (
            lambda: VanillaRNN(4)(np.ones((2, 3), "float32")),
            ValueError,
            r"sequences must have the shape \[batch, timesteps, features\]",
        ),
        (lambda: VanillaRNN(4)(np.ones((2, 0, 3), "float32")), ValueError, "sequences must have a timestep"),
        (
            lambda: call_with(initial_state=initial_state(2)),
            ValueError,
            r"initial_state must have the shape \[batch=3, units=5\]",
        ),
        (
            lambda: call_with(initial_state=np.ones((3, 4), "float32")),
            ValueError,
            r"Received: initial_state.shape=\(3, 4\)",
        ),
        (lambda: call_with(initial_state=[initial_state()] * 2), ValueError, "initial_state must"),
        (
            lambda: call_with(reset=np.zeros((3, 5), bool)),
            ValueError,
            r"reset must have the shape \[batch=3, timesteps=6\]",
        ),
        (lambda: call_with(reset=np.zeros((3, 6), "float32")), TypeError, "reset must be bool. Received: reset.dtype="),
        (lambda: call_with(reset=np.zeros((3, 6), "int32")), TypeError, "reset must be bool"),
        (
            lambda: call_with(mask=np.zeros((6, 3), bool)),
            ValueError,
            r"mask must have the shape \[batch=3, timesteps=6\]",
        ),
        (lambda: VanillaRNN(4, stateful=True)(keras.Input((6, 4))), ValueError, "stateful layer must be static"),
    ],
)
def test_bad_argument_is_refused_by_the_house_template(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_vanilla_rnn_other_feature_size_after_build_is_refused():
    ours = VanillaRNN(UNITS)
    ours(sequences())
    with pytest.raises(ValueError, match="features=4"):
        ours(np.ones((2, 3, 7), "float32"))
