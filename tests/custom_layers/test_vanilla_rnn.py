"""VanillaRNN and VanillaRNNCell against stock Keras, each document alone, and their own configuration."""

import inspect

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN, VanillaRNNCell

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BATCH, TIMESTEPS, FEATURES, UNITS = 3, 6, 4, 5


def sequences(batch=BATCH, timesteps=TIMESTEPS, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, timesteps, FEATURES)).astype("float32")


def initial_state(batch=BATCH):
    return np.random.default_rng(9).normal(size=(batch, UNITS)).astype("float32")


def pair(**arguments):
    """Return a SimpleRNN and a VanillaRNN of the same random weights, exchanged through get_weights."""
    stock, ours = keras.layers.SimpleRNN(UNITS, **arguments), VanillaRNN(UNITS, **arguments)
    for layer in (stock, ours):
        layer.build((BATCH, TIMESTEPS, FEATURES))
    random = np.random.default_rng(3)
    stock.set_weights([0.5 * random.normal(size=w.shape) for w in stock.get_weights()])
    ours.set_weights(stock.get_weights())
    return stock, ours


def array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


VARIANTS = {
    "default": {},
    "sequences": {"return_sequences": True},
    "both": {"return_sequences": True, "return_state": True},
    "backwards": {"return_sequences": True, "return_state": True, "go_backwards": True},
    "backwards_last": {"go_backwards": True},
    "unroll": {"return_sequences": True, "unroll": True},
    "relu": {"activation": "relu", "return_sequences": True},
    "elu": {"activation": "elu", "return_sequences": True},
    "linear": {"activation": None, "return_sequences": True},
    "no_bias": {"use_bias": False, "return_sequences": True},
    "zero_output": {"zero_output_for_mask": True, "return_sequences": True, "return_state": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_vanilla_rnn_same_weights_equals_simple_rnn(variant):
    stock, ours = pair(**VARIANTS[variant])
    assert [w.name for w in ours.weights] == [w.name for w in stock.weights]
    everything = {"initial_state": initial_state(), "mask": np.arange(TIMESTEPS)[None] < np.array([[6], [3], [1]])}
    if "backwards" in variant:
        del everything["initial_state"]  # padding comes first then, where the two differ, as the next test shows
    for arguments in ({}, everything) if variant in ("default", "backwards") else (everything,):
        expected, actual = stock(sequences(), **arguments), ours(sequences(), **arguments)
        for a, b in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
            np.testing.assert_allclose(array(a), array(b), atol=1e-5)
    expected_shape = keras.tree.map_structure(lambda t: tuple(t.shape), ours(sequences()))
    assert ours.compute_output_shape((BATCH, TIMESTEPS, FEATURES)) == expected_shape


def test_vanilla_rnn_left_padding_carries_the_initial_state():
    _, ours = pair(return_sequences=True)
    mask = np.arange(TIMESTEPS)[None] >= np.array([[0], [2], [5]])
    outputs = array(ours(sequences(), initial_state=initial_state(), mask=mask))
    np.testing.assert_array_equal(outputs[1, :2], np.stack([initial_state()[1]] * 2))
    alone = array(ours(sequences()[1:2, 2:], initial_state=initial_state()[1:2]))
    np.testing.assert_allclose(outputs[1:2, 2:], alone, atol=1e-6)


@pytest.mark.parametrize("backwards", [False, True])
def test_vanilla_rnn_weight_gradients_equal_simple_rnn(backwards, value_and_gradients):
    stock, ours = pair(return_sequences=True, go_backwards=backwards)
    x, weights = sequences(), ours.get_weights()
    results = []
    for layer in (stock, ours):

        def function(*tensors, layer=layer):
            kwargs = {"initial_state": keras.ops.convert_to_tensor(initial_state())}
            with keras.StatelessScope(state_mapping=list(zip(layer.weights, tensors, strict=True))):
                return layer(x, **kwargs)

        mode = "jit" if keras.backend.backend() == "jax" else "eager"
        output_weights = np.random.default_rng(1).normal(size=(BATCH, TIMESTEPS, UNITS))
        results.append(value_and_gradients(function, weights, mode, output_weights))
    for actual, expected in zip(results[1][1], results[0][1], strict=True):
        assert np.abs(expected).max() > 1e-2
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("return_state", [False, True])
def test_vanilla_rnn_in_bidirectional_equals_simple_rnn(return_state):
    layers = []
    for kind in (keras.layers.SimpleRNN, VanillaRNN):
        layer = keras.layers.Bidirectional(kind(UNITS, return_sequences=True, return_state=return_state))
        layer.build((BATCH, TIMESTEPS, FEATURES))
        layers.append(layer)
    layers[1].set_weights(layers[0].get_weights())
    mask = np.arange(TIMESTEPS)[None] < np.array([[6], [3], [1]])
    for arguments in ({}, {"mask": mask}):
        expected, actual = (keras.tree.flatten(layer(sequences(), **arguments)) for layer in layers)
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(array(a), array(b), atol=1e-5)


def test_vanilla_rnn_cell_in_keras_rnn_equals_layer():
    _, ours = pair(return_sequences=True)
    wrapped = keras.layers.RNN(VanillaRNNCell(UNITS), return_sequences=True)
    wrapped.build((BATCH, TIMESTEPS, FEATURES))
    wrapped.set_weights(ours.get_weights())
    np.testing.assert_allclose(array(wrapped(sequences())), array(ours(sequences())), atol=1e-5)
    cell = wrapped.cell
    assert cell.state_size == cell.output_size == UNITS
    assert array(cell.get_initial_state(2)[0]).shape == (2, UNITS)


@pytest.mark.parametrize(
    "rates", [{"dropout": 0.4}, {"recurrent_dropout": 0.4}, {"dropout": 0.3, "recurrent_dropout": 0.5}]
)
def test_vanilla_rnn_dropout_in_training_equals_simple_rnn_of_the_same_seed(rates):
    stock, ours = pair(return_sequences=True, seed=7, **rates)
    np.testing.assert_allclose(array(ours(sequences())), array(stock(sequences())), atol=1e-5)
    stock, ours = pair(return_sequences=True, seed=7, **rates)
    actual, expected = ours(sequences(), training=True), stock(sequences(), training=True)
    assert np.abs(array(actual) - array(ours(sequences()))).max() > 1e-2
    np.testing.assert_allclose(array(actual), array(expected), atol=1e-5)


def test_vanilla_rnn_dropout_drops_the_stated_fraction():
    layer = VanillaRNN(
        64, dropout=0.25, activation="linear", kernel_initializer="identity", seed=1, return_sequences=True
    )
    layer.build((200, 2, 64))
    layer.set_weights([np.eye(64), np.zeros((64, 64)), np.zeros(64)])
    outputs = array(layer(np.ones((200, 2, 64), "float32"), training=True))
    np.testing.assert_array_equal(outputs[:, 0], outputs[:, 1])  # one mask for all timesteps of a sequence
    assert abs((outputs == 0).mean() - 0.25) < 0.01
    assert abs(outputs.mean() - 1) < 0.02


def test_vanilla_rnn_two_half_windows_equal_one_long_pass():
    _, ours = pair(return_sequences=True, return_state=True)
    whole, final = ours(sequences(), initial_state=initial_state())
    first, carried = ours(sequences()[:, :2], initial_state=initial_state())
    second, last = ours(sequences()[:, 2:], initial_state=carried)
    np.testing.assert_allclose(np.concatenate([array(first), array(second)], axis=1), array(whole), atol=1e-6)
    np.testing.assert_allclose(array(last), array(final), atol=1e-6)


def test_vanilla_rnn_reset_after_other_data_equals_fresh_state():
    _, ours = pair(return_sequences=True)
    x = np.concatenate([100 * sequences(timesteps=4, seed=5), sequences()], axis=1)
    reset = np.zeros(x.shape[:2], bool)
    fresh = array(ours(sequences()))
    assert np.abs(array(ours(x, reset=reset))[:, 4:] - fresh).max() > 1e-2  # guard: the other data does matter
    reset[:, 4] = True
    np.testing.assert_allclose(array(ours(x, reset=reset, initial_state=initial_state()))[:, 4:], fresh, atol=1e-6)


@pytest.mark.parametrize("backwards", [False, True])
def test_vanilla_rnn_rows_with_resets_equal_each_document_alone(backwards):
    _, ours = pair(return_sequences=True, go_backwards=backwards)
    documents = [sequences(1, timesteps, seed=timesteps) for timesteps in (1, 2, 3, 5, 4, 3)]
    rows = [documents[:2] + documents[2:3], documents[3:4] + documents[0:1], documents[4:5] + documents[1:2]]
    x = np.concatenate([np.concatenate(row, axis=1) for row in rows])  # three rows of six timesteps
    reset = np.zeros(x.shape[:2], bool)
    for b, row in enumerate(rows):
        ends = np.cumsum([document.shape[1] for document in row])
        reset[b, (ends - 1) if backwards else (ends - [document.shape[1] for document in row])] = True
    outputs = array(ours(x, reset=reset))
    outputs = outputs[:, ::-1] if backwards else outputs  # in the order of x
    for b, row in enumerate(rows):
        alone = [array(ours(document)) for document in row]
        alone = np.concatenate([a[:, ::-1] if backwards else a for a in alone], axis=1)
        np.testing.assert_allclose(outputs[b : b + 1], alone, atol=1e-6)


def test_vanilla_rnn_functional_with_state_and_reset_inputs_trains():
    x = keras.Input((None, FEATURES))
    h, reset = keras.Input((UNITS,)), keras.Input((None,), dtype="bool")
    states, final = VanillaRNN(UNITS, return_sequences=True, return_state=True)(x, initial_state=h, reset=reset)
    assert states.shape == (None, None, UNITS)
    assert final.shape == (None, UNITS)
    model = keras.Model([x, h, reset], [states, final])
    flags = np.zeros((BATCH, TIMESTEPS), bool)
    before = [array(t) for t in model([sequences(), initial_state(), flags])]
    assert np.abs(before[0][:, 0] - array(model([sequences(), 0 * initial_state(), flags])[0])[:, 0]).max() > 1e-2
    model.compile("sgd", ["mse", "mse"])
    losses = [model.train_on_batch([sequences(), initial_state(), flags], [0 * b for b in before]) for _ in range(5)]
    assert np.ravel(losses[-1])[0] < np.ravel(losses[0])[0]


def test_vanilla_rnn_mask_of_embedding_is_used():
    model = keras.Sequential([keras.layers.Embedding(7, FEATURES, mask_zero=True), VanillaRNN(UNITS)])
    padded, bare = model(np.array([[3, 4, 0, 0]])), model(np.array([[3, 4]]))
    np.testing.assert_allclose(array(padded), array(bare), atol=1e-6)


def test_vanilla_rnn_mixed_bfloat16_computes_in_bfloat16_and_keeps_float32_weights():
    layer = VanillaRNN(UNITS, dtype="mixed_bfloat16", stateful=True)
    output = layer(sequences(), reset=np.zeros((BATCH, TIMESTEPS), bool))
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert {w.dtype for w in layer.weights} == {"float32"}
    assert keras.backend.standardize_dtype(layer.state.dtype) == "float32"
    full = VanillaRNN(UNITS)
    full.build((BATCH, TIMESTEPS, FEATURES))
    full.set_weights(layer.get_weights())
    np.testing.assert_allclose(array(keras.ops.cast(output, "float32")), array(full(sequences())), atol=0.1)


NOT_DEFAULT = {
    "units": 3, "activation": "relu", "use_bias": False, "kernel_initializer": "ones", "recurrent_initializer": "zeros",
    "bias_initializer": "ones", "kernel_regularizer": "l2", "recurrent_regularizer": "l1", "bias_regularizer": "l2",
    "activity_regularizer": "l2", "kernel_constraint": "non_neg", "recurrent_constraint": "unit_norm",
    "bias_constraint": "non_neg", "dropout": 0.1, "recurrent_dropout": 0.2, "return_sequences": True,
    "return_state": True, "go_backwards": True, "stateful": True, "unroll": True, "seed": 11,
    "zero_output_for_mask": True, "name": "own_name", "trainable": False, "dtype": "mixed_bfloat16",
}  # fmt: skip


@pytest.mark.parametrize("kind", [VanillaRNN, VanillaRNNCell])
def test_config_has_every_argument_and_round_trips(kind):
    names = [n for n, p in inspect.signature(kind).parameters.items() if p.kind != p.VAR_KEYWORD]
    stock = keras.layers.SimpleRNN if kind is VanillaRNN else keras.layers.SimpleRNNCell
    expected = [n for n, p in inspect.signature(stock).parameters.items() if p.kind != p.VAR_KEYWORD]
    assert names[: len(expected)] == expected  # positional arguments mean the same
    arguments = {name: NOT_DEFAULT[name] for name in [*names, "name", "trainable", "dtype"]}
    layer, plain = kind(**arguments), kind(7)
    config = layer.get_config()
    for name in arguments:
        assert name in config
        assert config[name] != plain.get_config()[name], f"{name} does not reach the config"
        assert hasattr(layer, name)
    assert kind.from_config(config).get_config() == config
    assert kind.from_config(stock(7).get_config()).units == 7  # a stock config is accepted


def test_vanilla_rnn_saved_model_loads_without_custom_objects(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, FEATURES)),
            keras.layers.Bidirectional(VanillaRNN(UNITS, return_sequences=True)),
            VanillaRNN(2),
        ]
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(array(loaded(sequences())), array(model(sequences())))
    model.save_weights(tmp_path / "model.weights.h5")
    other = keras.models.clone_model(model)
    assert np.abs(array(other(sequences())) - array(model(sequences()))).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(array(other(sequences())), array(model(sequences())))


def test_vanilla_rnn_regularizers_give_losses():
    layer = VanillaRNN(UNITS, kernel_regularizer="l2", recurrent_regularizer="l2", activity_regularizer="l2")
    layer(sequences())
    assert len(layer.losses) == 3


@pytest.mark.parametrize("dynamic_batch", [False, True])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_vanilla_rnn_trains_as_simple_rnn_does(jit_compile, dynamic_batch):
    x, y = sequences(), np.random.default_rng(4).normal(size=(BATCH, TIMESTEPS, UNITS)).astype("float32")
    trained = []
    for layer in pair(return_sequences=True):
        inputs = keras.Input(batch_shape=(None if dynamic_batch else BATCH, TIMESTEPS, FEATURES))
        model = keras.Model(inputs, layer(inputs))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        before = layer.get_weights()
        losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
        assert all(np.abs(b - a).max() > 1e-3 for b, a in zip(before, layer.get_weights(), strict=True))
        predicted = model.predict(x[:2] if dynamic_batch else x, batch_size=2 if dynamic_batch else BATCH, verbose=0)
        trained.append([losses, *layer.get_weights(), predicted])
    for expected, actual in zip(*trained, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("go_backwards", [False, True])
def test_compute_mask_is_in_the_order_of_the_outputs_and_only_for_sequences(go_backwards):
    mask = np.arange(TIMESTEPS)[None] < np.array([[6], [3], [1]])
    layer = VanillaRNN(UNITS, return_sequences=True, go_backwards=go_backwards)
    passed = array(layer.compute_mask(sequences(), mask))
    np.testing.assert_array_equal(passed, mask[:, ::-1] if go_backwards else mask)
    assert not np.array_equal(mask, mask[:, ::-1])  # guard
    assert VanillaRNN(UNITS, go_backwards=go_backwards).compute_mask(sequences(), mask) is None
    with_state = VanillaRNN(UNITS, return_sequences=True, return_state=True).compute_mask(sequences(), mask)
    np.testing.assert_array_equal(array(with_state[0]), mask)
    assert with_state[1:] == [None]


def test_vanilla_rnn_built_twice_keeps_its_state_variable():
    layer = VanillaRNN(UNITS, stateful=True)
    layer.build((BATCH, TIMESTEPS, FEATURES))
    variable = layer.state_variable
    layer.build((BATCH, TIMESTEPS, FEATURES))
    assert layer.state_variable is variable


@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_exported_for_any_number_of_timesteps_computes_the_same(activation, tmp_path):
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, VanillaRNN(UNITS, activation=activation, return_sequences=True)(inputs))
    if keras.backend.backend() == "jax":
        import jax

        shape = jax.export.symbolic_shape("batch, timesteps, 4")
        traced = jax.ShapeDtypeStruct(shape, "float32")
        exported = jax.export.export(jax.jit(lambda x: model(x)))(traced)
        call = exported.call
    else:
        import tensorflow as tf

        model.export(str(tmp_path), verbose=False)
        loaded = tf.saved_model.load(str(tmp_path))
        call = loaded.serve
    for timesteps in (1, 2, 7, 8):
        x = sequences(timesteps=timesteps)
        np.testing.assert_allclose(array(call(x)), array(model(x)), rtol=1e-5, atol=1e-6)
