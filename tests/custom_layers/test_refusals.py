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
        (
            lambda: call_with(offset=np.zeros((3, 5, 5), "float32")),
            ValueError,
            r"offset must have the shape \[batch=3, timesteps=6, units=5\]. Received: offset.shape=\(3, 5, 5\)",
        ),
        (lambda: call_with(offset=np.zeros((3, 6, 4), "float32")), ValueError, "Pass one offset for each timestep of"),
        (lambda: call_with(offset=np.zeros((3, 5), "float32")), ValueError, r"Received: offset.shape=\(3, 5\)"),
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


def test_vanilla_rnn_unrolled_with_an_unknown_number_of_timesteps_is_refused():
    with pytest.raises(ValueError, match=r"timesteps of an unrolled layer must be static\. Received: timesteps=None"):
        VanillaRNN(4, unroll=True)(keras.Input((None, 3)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="sizes are always known while JAX traces")
@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize(
    ("what", "shape"),
    [
        ("initial_state", (3, UNITS)),
        ("reset", (1, 6)),
        ("reset", (2, 1)),
        ("mask", (3, 6)),
        ("offset", (1, 6, UNITS)),
        ("offset", (2, 1, UNITS)),
    ],
)
def test_vanilla_rnn_sizes_unknown_while_tracing_are_refused_when_they_come(what, shape, xla):
    import tensorflow as tf

    layer = VanillaRNN(UNITS, return_sequences=True)
    fitting = {"initial_state": (2, UNITS), "offset": (2, 6, UNITS)}.get(what, (2, 6))
    dtype = tf.bool if what in ("reset", "mask") else tf.float32
    unknown = [size if size == UNITS else None for size in fitting]
    signature = [tf.TensorSpec([None, None, 4]), tf.TensorSpec(unknown, dtype)]

    @tf.function(input_signature=signature, jit_compile=xla)
    def call(x, other):
        return layer(x, **{what: other})

    x = np.ones((2, 6, 4), "float32")
    fits = np.ones(fitting, dtype.as_numpy_dtype)
    assert call(x, fits).shape == (2, 6, UNITS)  # guard
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(x, np.ones(shape, dtype.as_numpy_dtype))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_stateful_layer_given_another_batch_is_refused(jit_compile):
    model = keras.Sequential([keras.Input(batch_shape=(2, 3, 4)), VanillaRNN(UNITS, stateful=True)])
    model.compile(jit_compile=jit_compile)
    assert model.predict(np.ones((4, 3, 4), "float32"), batch_size=2, verbose=0).shape == (4, UNITS)  # guard
    with pytest.raises(Exception, match=r"(?i)shape|reshape"):
        model.predict(np.ones((3, 3, 4), "float32"), batch_size=2, verbose=0)
