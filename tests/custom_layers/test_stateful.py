"""VanillaRNN with stateful=True: carried, read, set, reset, saved, and threaded through Keras' own training."""

import keras
import numpy as np
import pytest

from custom_layers import VanillaRNN

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 4, 3, 5
X = np.random.default_rng(0).normal(size=(BATCH, 2 * TIMESTEPS, FEATURES)).astype("float32")
FIRST, SECOND = X[:, :TIMESTEPS], X[:, TIMESTEPS:]


def array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def model_of(stateful=True, batch=BATCH, **arguments):
    layer = VanillaRNN(UNITS, stateful=stateful, return_sequences=True, name="rnn", **arguments)
    return keras.Sequential([keras.Input(batch_shape=(batch, TIMESTEPS, FEATURES)), layer, keras.layers.Dense(1)])


def stateless_twin(layer):
    twin = VanillaRNN(UNITS, return_sequences=True, return_state=True)
    twin.build((None, None, FEATURES))
    twin.set_weights(layer.get_weights())
    return twin


def test_stateful_two_windows_equal_one_long_pass():
    layer = VanillaRNN(UNITS, stateful=True, return_sequences=True)
    first, second = array(layer(FIRST)), array(layer(SECOND))
    whole, final = stateless_twin(layer)(X)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), array(whole), atol=1e-6)
    np.testing.assert_allclose(array(layer.state), array(final), atol=1e-6)
    assert np.abs(second - array(stateless_twin(layer)(SECOND)[0])).max() > 1e-2  # guard: the state matters


def test_stateful_reset_state_equals_fresh_layer():
    layer = VanillaRNN(UNITS, stateful=True)
    fresh = array(layer(SECOND))
    layer(FIRST)
    assert np.abs(array(layer(SECOND)) - fresh).max() > 1e-2
    layer.reset_state()
    assert not array(layer.state).any()
    np.testing.assert_array_equal(array(layer(SECOND)), fresh)


def test_stateful_state_set_is_where_the_next_call_starts():
    layer = VanillaRNN(UNITS, stateful=True, return_sequences=True)
    layer.build((BATCH, TIMESTEPS, FEATURES))
    start = np.random.default_rng(1).normal(size=(BATCH, UNITS)).astype("float32")
    layer.state = start
    np.testing.assert_array_equal(array(layer.state), start)
    expected, _ = stateless_twin(layer)(FIRST, initial_state=start)
    kept = layer.state
    np.testing.assert_allclose(array(layer(FIRST)), array(expected), atol=1e-6)
    np.testing.assert_array_equal(array(kept), start)  # what was read is a snapshot
    layer(FIRST, initial_state=0 * start)
    np.testing.assert_allclose(array(layer.state), array(stateless_twin(layer)(FIRST)[1]), atol=1e-6)


def test_stateful_mask_and_per_row_reset_apply_to_the_carried_state():
    layer = VanillaRNN(UNITS, stateful=True)
    layer(FIRST)
    carried = array(layer.state)
    reset = np.zeros((BATCH, TIMESTEPS), bool)
    reset[0, 0] = True
    layer(SECOND, reset=reset)
    twin = stateless_twin(layer)
    expected = array(twin(SECOND, initial_state=carried * [[0], [1]])[1])
    np.testing.assert_allclose(array(layer.state), expected, atol=1e-6)
    layer(FIRST, mask=np.zeros((BATCH, TIMESTEPS), bool))
    np.testing.assert_allclose(array(layer.state), expected, atol=1e-6)


def test_stateful_state_is_a_variable_but_no_weight():
    model = model_of()
    layer = model.get_layer("rnn")
    assert [w.shape for w in layer.get_weights()] == [(FEATURES, UNITS), (UNITS, UNITS), (UNITS,)]
    names = [v.name for v in model.non_trainable_variables]
    assert "state" in names
    assert len(model.get_weights()) == 5
    model.set_weights([w + 1 for w in model.get_weights()])
    assert not array(layer.state).any()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_stateful_train_on_batch_and_predict_carry_the_state(jit_compile):
    model = model_of()
    layer = model.get_layer("rnn")
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=jit_compile)
    twin = stateless_twin(layer)
    targets = np.zeros((BATCH, TIMESTEPS, 1), "float32")
    model.train_on_batch(FIRST, targets)
    np.testing.assert_allclose(array(layer.state), array(twin(FIRST)[1]), atol=1e-5)
    model.train_on_batch(SECOND, targets)
    final = array(twin(X)[1])
    np.testing.assert_allclose(array(layer.state), final, atol=1e-5)
    model.predict(FIRST, batch_size=BATCH, verbose=0)
    np.testing.assert_allclose(array(layer.state), array(twin(FIRST, initial_state=final)[1]), atol=1e-5)
    layer.reset_state()
    model.predict_on_batch(FIRST)
    np.testing.assert_allclose(array(layer.state), array(twin(FIRST)[1]), atol=1e-5)


def test_stateful_training_cuts_the_gradient_at_the_window_edge():
    """One SGD step on the second window equals one from the carried state given as a constant."""
    model, constant = model_of(), model_of(stateful=False)
    constant.set_weights(model.get_weights())
    model(FIRST)
    carried = array(model.get_layer("rnn").state)
    x, h = keras.Input((TIMESTEPS, FEATURES)), keras.Input((UNITS,))
    given = keras.Model([x, h], constant.layers[1](constant.layers[0](x, initial_state=h)))
    targets = np.ones((BATCH, TIMESTEPS, 1), "float32")
    for m, inputs in ((model, SECOND), (given, [SECOND, carried])):
        m.compile(keras.optimizers.SGD(0.1), "mse")
        m.train_on_batch(inputs, targets)
    for a, b in zip(model.get_weights(), given.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("form", ["keras", "h5"])
def test_stateful_state_comes_back_from_a_checkpoint(form, tmp_path):
    model = model_of()
    model(FIRST)
    saved = array(model.get_layer("rnn").state)
    assert np.abs(saved).max() > 1e-2
    if form == "keras":
        model.save(tmp_path / "m.keras")
        other = keras.models.load_model(tmp_path / "m.keras")
    else:
        model.save_weights(tmp_path / "m.weights.h5")
        other = model_of()
        other(SECOND)
        other.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(array(other.get_layer("rnn").state), saved)
    np.testing.assert_allclose(array(other(SECOND)), array(model(SECOND)), atol=1e-6)


def test_stateful_checkpoint_of_another_batch_size_keeps_the_weights_and_warns(tmp_path):
    model = model_of()
    model(FIRST)
    model.save_weights(tmp_path / "m.weights.h5")
    single = model_of(batch=1)
    single(FIRST[:1])
    with pytest.warns(UserWarning, match="it starts at zero"):
        single.load_weights(tmp_path / "m.weights.h5")
    assert not array(single.get_layer("rnn").state).any()
    stateless = model_of(stateful=False, batch=None)
    stateless.load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(stateless.get_weights()[1], model.get_weights()[1])
    stateless.save_weights(tmp_path / "s.weights.h5")
    model.load_weights(tmp_path / "s.weights.h5")
    assert not array(model.get_layer("rnn").state).any()


def test_stateful_in_bidirectional_carries_and_resets():
    layer = keras.layers.Bidirectional(VanillaRNN(UNITS, stateful=True))
    first = array(layer(FIRST))
    assert np.abs(array(layer(FIRST)) - first).max() > 1e-2
    layer.reset_state()
    np.testing.assert_array_equal(array(layer(FIRST)), first)


def test_stateful_tensorflow_checkpoint_restores_the_state(tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.train.Checkpoint saves TensorFlow variables only")
    import tensorflow as tf

    model = model_of()
    model(FIRST)
    saved = array(model.get_layer("rnn").state)
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    model(SECOND)
    tf.train.Checkpoint(model=model).restore(path)
    np.testing.assert_array_equal(array(model.get_layer("rnn").state), saved)


def test_state_of_a_layer_without_one_says_how_to_get_one():
    layer = VanillaRNN(UNITS)
    layer(FIRST)
    layer.reset_state()
    with pytest.raises(ValueError, match=r"VanillaRNN: a layer whose state is used must be stateful. .*stateful=True"):
        _ = layer.state
    with pytest.raises(ValueError, match="must be stateful"):
        layer.state = np.zeros((BATCH, UNITS))
    with pytest.raises(ValueError, match="must be built"):
        _ = VanillaRNN(UNITS, stateful=True).state


def test_stateful_bad_state_or_batch_is_refused():
    layer = VanillaRNN(UNITS, stateful=True)
    layer(FIRST)
    with pytest.raises(ValueError, match=r"the state must have the shape \[batch=2, units=5\]"):
        layer.state = np.zeros((BATCH + 1, UNITS))
    with pytest.raises(ValueError, match="batch=2"):
        layer(FIRST[:1])
