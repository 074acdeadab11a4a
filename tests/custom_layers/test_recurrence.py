"""The recurrence against NumPy, numeric gradients and itself, for every activation, mode and option."""

import keras
import numpy as np
import pytest

from custom_layers.recurrence import is_fused, recurrence

QUICK = {"jax": "jit"}.get(keras.backend.backend(), "eager")  # the mode for what is not itself under test
FUSED = ["tanh", "relu", "sigmoid", "hard_sigmoid", "linear"]
OPTIONS = {"plain": (), "reset": ("reset",), "mask": ("mask",), "all": ("reset", "mask", "dropout_mask")}


def run(example, activation, options, mode, value_and_gradients, **kwargs):
    """Return states and the gradients of projected, initial_state and recurrent_kernel."""
    flags = {name: example[name] for name in options}
    dropout_mask = flags.pop("dropout_mask", None)

    def function(projected, initial_state, kernel):
        return recurrence(
            projected, initial_state, kernel, activation, recurrent_dropout_mask=dropout_mask, **flags, **kwargs
        )

    arrays = [example[name] for name in ("projected", "initial_state", "recurrent_kernel")]
    weights = np.random.default_rng(1).normal(size=arrays[0].shape)
    return value_and_gradients(function, arrays, mode, weights)


def unfused(name):
    """The same activation in a wrapper that the dispatch does not know, hence the reference loop."""
    if name == "tanh" and keras.backend.backend() == "jax":
        import jax

        return lambda a: jax.numpy.tanh(a)  # keras.ops.tanh rounds float64 to float32 on JAX
    return lambda a: keras.activations.get(name)(a)


def numeric_gradients(function, arrays, weights, epsilon=1e-6):
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for index in np.ndindex(*array.shape):
            kept = array[index]
            array[index] = kept + epsilon
            above = (function(*arrays) * weights).sum()
            array[index] = kept - epsilon
            gradient[index] = (above - (function(*arrays) * weights).sum()) / (2 * epsilon)
            array[index] = kept
        gradients.append(gradient)
    return gradients


@pytest.mark.parametrize("activation", FUSED)
def test_is_fused_documented_activation_is_true(activation):
    assert is_fused(activation)
    assert is_fused(keras.activations.get(activation))


@pytest.mark.parametrize("activation", ["elu", "softmax", unfused("tanh")])
def test_is_fused_other_activation_is_false(activation):
    assert not is_fused(activation)


@pytest.mark.parametrize(
    ("activation", "options"),
    [*((name, "all") for name in [*FUSED, "elu"]), ("tanh", "plain"), ("tanh", "reset"), ("relu", "mask")],
)
def test_recurrence_float64_equals_numpy_and_numeric_gradients(
    activation, options, example, numpy_recurrence, value_and_gradients, float64
):
    data = example(dtype="float64")
    flags = {name: data[name] for name in OPTIONS[options]}
    arrays = [data[name].copy() for name in ("projected", "initial_state", "recurrent_kernel")]
    weights = np.random.default_rng(1).normal(size=arrays[0].shape)

    def function(*arrays):
        return numpy_recurrence(*arrays, activation, **flags)

    for choice in (activation, unfused(activation)) if options == "all" else (activation,):
        states, gradients = run(data, choice, OPTIONS[options], QUICK, value_and_gradients)
        assert states.dtype == np.float64
        np.testing.assert_allclose(states, function(*arrays), rtol=0, atol=1e-12)
        for gradient, numeric in zip(gradients, numeric_gradients(function, arrays, weights), strict=True):
            assert np.abs(numeric).max() > 1e-3, "negligible gradient: this test would pass on zeros, fix it"
            np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-7)


@pytest.mark.parametrize("activation", FUSED)
def test_recurrence_fused_equals_reference_in_every_mode(activation, compiling_mode, example, value_and_gradients):
    data = example()
    states, gradients = run(data, activation, OPTIONS["all"], compiling_mode, value_and_gradients)
    expected, expected_gradients = run(data, unfused(activation), OPTIONS["all"], QUICK, value_and_gradients)
    np.testing.assert_allclose(states, expected, atol=1e-5)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert np.abs(expected_gradient).max() > 1e-3
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("timesteps", [1, 2])
@pytest.mark.parametrize("unroll", [False, True])
def test_recurrence_few_timesteps_or_unrolled_equals_reference(timesteps, unroll, mode, example, value_and_gradients):
    data = example(timesteps)
    states, gradients = run(data, "tanh", OPTIONS["all"], mode, value_and_gradients, unroll=unroll)
    expected, expected_gradients = run(data, unfused("tanh"), OPTIONS["all"], QUICK, value_and_gradients)
    np.testing.assert_allclose(states, expected, atol=1e-5)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("xla", [False, True])
def test_recurrence_dynamic_batch_and_timesteps_equals_static(xla, example, value_and_gradients):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("only TensorFlow traces unknown sizes")
    import tensorflow as tf

    signature = [tf.TensorSpec([None, None, 5]), tf.TensorSpec([None, 5]), tf.TensorSpec([5, 5])]
    signature.append(tf.TensorSpec([None, None], tf.bool))

    @tf.function(input_signature=signature, jit_compile=xla)
    def compute(projected, initial_state, kernel, reset):
        with tf.GradientTape() as tape:
            tape.watch([projected, initial_state, kernel])
            states = recurrence(projected, initial_state, kernel, "tanh", reset)
            loss = tf.reduce_sum(states**2)
        return states, tape.gradient(loss, [projected, initial_state, kernel])

    for timesteps, batch in ((7, 3), (2, 4), (1, 2)):
        data = example(timesteps, batch=batch)
        arrays = [data[name] for name in ("projected", "initial_state", "recurrent_kernel")]
        states, gradients = compute(*map(tf.constant, arrays), tf.constant(data["reset"]))

        def squares(*tensors, reset=data["reset"]):
            return recurrence(*tensors, "tanh", reset) ** 2

        expected, expected_gradients = value_and_gradients(squares, arrays)
        np.testing.assert_allclose(states**2, expected, atol=1e-5)
        for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-4)


def test_recurrence_reset_at_first_step_cuts_state_and_gradient(mode, example, value_and_gradients):
    data = example()
    data["reset"] = np.zeros_like(data["reset"])
    _, (_, without, _) = run(data, "tanh", ("reset",), mode, value_and_gradients)
    assert np.abs(without).min() > 0
    data["reset"][1, 0] = True
    _, (_, gradient, _) = run(data, "tanh", ("reset",), mode, value_and_gradients)
    assert (gradient[1] == 0).all()
    np.testing.assert_allclose(gradient[[0, 2]], without[[0, 2]], rtol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_recurrence_reset_of_nan_state_is_clean(activation, compiling_mode, example, value_and_gradients):
    data = example()
    data["initial_state"][...] = np.nan
    data["reset"] = np.zeros_like(data["reset"])
    poisoned, _ = run(data, activation, ("reset",), compiling_mode, value_and_gradients)
    assert np.isnan(poisoned).all()
    data["reset"][:, 0] = True
    states, (d_projected, _, d_kernel) = run(data, activation, ("reset",), compiling_mode, value_and_gradients)
    for values in (states, d_projected, d_kernel):
        assert np.isfinite(values).all()


def test_recurrence_time_major_equals_batch_major(example):
    data = example()
    arguments = (data["initial_state"], data["recurrent_kernel"], "tanh")
    expected = recurrence(data["projected"], *arguments, data["reset"], data["mask"])
    states = recurrence(
        data["projected"].transpose(1, 0, 2), *arguments, data["reset"].T, data["mask"].T, time_major=True
    )
    np.testing.assert_array_equal(np.asarray(states).transpose(1, 0, 2), np.asarray(expected))


def test_recurrence_bfloat16_stays_close_and_keeps_dtype(compiling_mode, example, value_and_gradients):
    data = example()

    def function(projected, initial_state, kernel):
        low = keras.ops.cast(projected, "bfloat16")
        states = recurrence(low, initial_state, kernel, "tanh", data["reset"], data["mask"])
        assert keras.backend.standardize_dtype(states.dtype) == "bfloat16"
        return keras.ops.cast(states, "float32")

    arrays = [data[name] for name in ("projected", "initial_state", "recurrent_kernel")]
    expected, _ = run(data, "tanh", ("reset", "mask"), QUICK, value_and_gradients)
    states, gradients = value_and_gradients(function, arrays, compiling_mode)
    np.testing.assert_allclose(states, expected, atol=0.05)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("timesteps", [5, 6])
@pytest.mark.parametrize("activation", ["linear", "hard_sigmoid"])
def test_recurrence_of_one_unit_and_one_row_equals_numpy(
    timesteps, activation, compiling_mode, example, numpy_recurrence, value_and_gradients
):
    # The products of one unit are no matrix products to a compiler: it may fuse several timesteps into one kernel,
    # which must not read what it has already overwritten. A loop that did was wrong for just these activations.
    data = example(timesteps, units=1)
    arrays = [data[name] for name in ("projected", "initial_state", "recurrent_kernel")]
    arrays = [arrays[0][:1], arrays[1][:1], arrays[2]]
    weights = np.random.default_rng(1).normal(size=arrays[0].shape)

    def function(*tensors):
        return recurrence(*tensors, activation)

    def reference(*arrays):
        return numpy_recurrence(*arrays, activation)

    states, gradients = value_and_gradients(function, arrays, compiling_mode, weights)
    doubles = [array.astype("float64") for array in arrays]
    np.testing.assert_allclose(states, reference(*doubles), rtol=1e-5, atol=1e-6)
    for gradient, numeric in zip(gradients, numeric_gradients(reference, doubles, weights), strict=True):
        assert np.abs(numeric).max() > 1e-3
        np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)
