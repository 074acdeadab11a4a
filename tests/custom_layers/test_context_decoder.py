"""ContextDecoder against NumPy loops: outputs, states, gradients, saving; and its fused path."""

import functools

import keras
import numpy as np
import pytest

from custom_layers import ContextDecoder, SpectralRadius
from custom_layers.recurrence import fused, reference

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

BATCH, TIMESTEPS, WIDTH, CONTEXT_WIDTH, UNITS, LAYERS = 3, 6, 4, 7, 5, 2
CONTEXTS = ("initial", "every", "both")
EPSILON = 1e-6


def array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def normal(*shape, seed=0, dtype="float64"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def decoder_of(context="both", dtype="float64", seed=3, **arguments):
    """A built decoder whose weights, biases included, are all random."""
    decoder = ContextDecoder(UNITS, LAYERS, context, dtype=dtype, **arguments)
    decoder.build((BATCH, TIMESTEPS, WIDTH), (BATCH, CONTEXT_WIDTH))
    random = np.random.default_rng(seed)
    decoder.set_weights([0.5 * random.normal(size=weight.shape) for weight in decoder.weights])
    return decoder


def named_weights(decoder):
    """Weights in float64, by layer and name."""
    return {
        (layer.name, weight.name): array(weight).astype("float64")
        for layer in (*decoder.recurrent_layers, *decoder.offset_layers, *decoder.state_layers)
        for weight in layer.weights
    }


def by_loops(weights, context_mode, inputs, context, states=None):
    """The equations, one sequence, layer and timestep at a time."""
    outputs = np.empty((len(inputs), inputs.shape[1], UNITS))
    finals = np.empty((LAYERS, len(inputs), UNITS))
    for b, (sequence, c) in enumerate(zip(inputs, context, strict=True)):
        below = sequence
        for layer in range(LAYERS):
            u, w, bias = (weights[f"recurrent_{layer}", name] for name in ("kernel", "recurrent_kernel", "bias"))
            if states is not None:
                h = states[layer][b]
            elif context_mode in ("initial", "both"):
                h = np.tanh(c @ weights[f"state_{layer}", "kernel"] + weights[f"state_{layer}", "bias"])
            else:
                h = np.zeros(UNITS)
            above = []
            for x in below:
                a = h @ w + x @ u + bias
                if context_mode in ("every", "both"):
                    a = a + c @ weights[f"offset_{layer}", "kernel"]
                h = np.tanh(a)
                above.append(h)
            below = np.stack(above)
            finals[layer, b] = h
        outputs[b] = below
    return outputs, finals


@pytest.fixture
def data():
    return {"inputs": normal(BATCH, TIMESTEPS, WIDTH), "context": normal(BATCH, CONTEXT_WIDTH, seed=1)}


@pytest.mark.parametrize("context", CONTEXTS)
def test_context_decoder_equals_numpy_loops(context, data, float64):
    decoder = decoder_of(context)

    outputs, states = decoder(**data)

    expected, finals = by_loops(named_weights(decoder), context, **data)
    assert len(states) == LAYERS
    np.testing.assert_allclose(array(outputs), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.stack([array(state) for state in states]), finals, rtol=0, atol=1e-12)
    # Guard: the weights are those of every other mode, too, which gives other outputs.
    full = named_weights(decoder_of("both"))
    for other in set(CONTEXTS) - {context}:
        assert np.abs(by_loops(full | named_weights(decoder), other, **data)[0] - expected).max() > 1e-2


@pytest.mark.parametrize("context", CONTEXTS)
def test_context_decoder_goes_on_from_states(context, data, float64):
    decoder = decoder_of(context)
    states = [normal(BATCH, UNITS, seed=10 + layer) for layer in range(LAYERS)]

    outputs, finals = decoder(**data, states=states)

    expected, expected_finals = by_loops(named_weights(decoder), context, **data, states=states)
    np.testing.assert_allclose(array(outputs), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.stack([array(state) for state in finals]), expected_finals, rtol=0, atol=1e-12)


@pytest.mark.parametrize("context", CONTEXTS)
def test_context_decoder_step_by_step_equals_one_call(context, data, float64):
    decoder = decoder_of(context)
    outputs, finals = decoder(**data)

    offsets, states = decoder.offsets(data["context"]), decoder.initial_states(data["context"])
    steps = []
    for t in range(TIMESTEPS):
        step, states = decoder.decode(data["inputs"][:, t : t + 1], offsets, states)
        steps.append(array(step))

    np.testing.assert_allclose(np.concatenate(steps, axis=1), array(outputs), rtol=0, atol=1e-12)
    for state, final in zip(states, finals, strict=True):
        np.testing.assert_allclose(array(state), array(final), rtol=0, atol=1e-12)


OF_OUTPUTS, OF_FINALS = normal(BATCH, TIMESTEPS, UNITS, seed=5), normal(LAYERS, BATCH, UNITS, seed=6)


@functools.cache
def numeric_gradients(context):
    """Central differences of sum(outputs · OF_OUTPUTS) + sum(final states · OF_FINALS)."""
    decoder = decoder_of(context)
    weights = named_weights(decoder)
    arguments = [normal(BATCH, TIMESTEPS, WIDTH), normal(BATCH, CONTEXT_WIDTH, seed=1), *weights.values()]

    def loss():
        values = dict(zip(weights, arguments[2:], strict=True))
        outputs, finals = by_loops(values, context, *arguments[:2])
        return (outputs * OF_OUTPUTS).sum() + (finals * OF_FINALS).sum()

    gradients = [np.zeros_like(argument) for argument in arguments]
    for argument, gradient in zip(arguments, gradients, strict=True):
        for index in np.ndindex(*argument.shape):
            exact = argument[index]
            argument[index] = exact + EPSILON
            above = loss()
            argument[index] = exact - EPSILON
            gradient[index] = (above - loss()) / (2 * EPSILON)
            argument[index] = exact
    return dict(zip(("inputs", "context", *weights), gradients, strict=True))


@pytest.mark.parametrize("context", CONTEXTS)
def test_context_decoder_gradients_equal_the_numeric_ones(context, data, value_and_gradients, compiling_mode, float64):
    decoder = decoder_of(context)
    layers = (*decoder.recurrent_layers, *decoder.offset_layers, *decoder.state_layers)
    name_of = {id(weight): (layer.name, weight.name) for layer in layers for weight in layer.weights}
    variables = decoder.trainable_variables
    others = [variable.value for variable in decoder.non_trainable_variables]

    def function(inputs, context, *values):
        (outputs, states), _ = decoder.stateless_call(values, others, inputs, context)
        return keras.ops.concatenate([keras.ops.reshape(x, (-1,)) for x in (outputs, *states)])

    arguments = [data["inputs"], data["context"], *map(array, variables)]
    factors = np.concatenate([OF_OUTPUTS.ravel(), OF_FINALS.ravel()])
    _, gradients = value_and_gradients(function, arguments, compiling_mode, factors)

    expected = numeric_gradients(context)
    names = ["inputs", "context", *(name_of[id(variable)] for variable in variables)]
    assert set(names) == set(expected)
    for name, gradient in zip(names, gradients, strict=True):
        assert np.abs(expected[name]).max() > 1e-3
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("context", CONTEXTS)
def test_context_decoder_takes_the_fused_path_with_one_product_of_the_context(
    context, data, monkeypatch, value_and_gradients
):
    calls = {"forward": 0, "backward": 0, "reference": 0}
    projected = []

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
    decoder = decoder_of(context, "float32")
    for layer in decoder.offset_layers:
        monkeypatch.setattr(layer, "call", lambda c, call=layer.call, **keywords: projected.append(c.shape) or call(c))
    arguments = [data["inputs"].astype("float32"), data["context"].astype("float32")]

    _, gradients = value_and_gradients(lambda *tensors: decoder(*tensors)[0], arguments)

    assert min(np.abs(gradient).max() for gradient in gradients) > 1e-3
    assert calls["reference"] == 0
    assert min(calls["forward"], calls["backward"]) >= 1
    assert [tuple(shape) for shape in projected] == [(BATCH, CONTEXT_WIDTH)] * len(decoder.offset_layers)


@pytest.mark.parametrize("context", CONTEXTS)
def test_context_decoder_in_a_model_survives_saving(context, data, tmp_path):
    inputs, vector = keras.Input((None, WIDTH)), keras.Input((CONTEXT_WIDTH,))
    decoder = ContextDecoder(
        UNITS, LAYERS, context, activation="relu", input_dropout=0.1, recurrent_dropout=0.2, seed=4
    )
    outputs, states = decoder(inputs, vector)
    model = keras.Model([inputs, vector], [outputs, *states])
    assert [tuple(x.shape) for x in model.outputs] == [(None, None, UNITS), (None, UNITS), (None, UNITS)]
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=weight.shape) for weight in model.get_weights()])

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    values = [data["inputs"].astype("float32"), data["context"].astype("float32")]
    for found, expected in zip(loaded(values), model(values), strict=True):
        np.testing.assert_array_equal(array(found), array(expected))
    (again,) = (layer for layer in loaded.layers if isinstance(layer, ContextDecoder))
    assert again.get_config() == decoder.get_config()
    assert again.get_config() | {
        "units": UNITS, "layers": LAYERS, "context": context, "activation": "relu", "input_dropout": 0.1,
        "recurrent_dropout": 0.2, "seed": 4,
    } == again.get_config()  # fmt: skip


def test_context_decoder_in_mixed_bfloat16_computes_in_bfloat16_and_keeps_float32_weights(data):
    decoder = decoder_of(dtype="mixed_bfloat16")

    outputs, states = decoder(**data)

    assert {keras.backend.standardize_dtype(x.dtype) for x in (outputs, *states)} == {"bfloat16"}
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in decoder.weights} == {"float32"}
    expected, _ = by_loops(named_weights(decoder), "both", **data)
    np.testing.assert_allclose(array(keras.ops.cast(outputs, "float32")), expected, rtol=0, atol=0.06)


def test_context_decoder_seed_gives_each_layer_weights_of_its_own_twice_the_same():
    built = []
    for _ in range(2):
        decoder = ContextDecoder(UNITS, 2, seed=1)
        decoder.build((None, None, UNITS), (None, UNITS))
        built.append([array(weight) for weight in decoder.weights])

    for first, second in zip(*built, strict=True):
        np.testing.assert_array_equal(first, second)
    matrices = [weight for weight in built[0] if weight.ndim == 2]
    assert len(matrices) == 8
    assert min(np.abs(a - b).max() for i, a in enumerate(matrices) for b in matrices[:i]) > 0.01


def test_context_decoder_recurrent_initializer_is_that_of_every_layer():
    built = {}
    for initializer in ("identity", "orthogonal", SpectralRadius(0.5, seed=9)):
        decoder = ContextDecoder(UNITS, 2, recurrent_initializer=initializer, seed=1)
        decoder.build((None, None, UNITS), (None, UNITS))
        again = ContextDecoder.from_config(decoder.get_config())
        again.build((None, None, UNITS), (None, UNITS))
        built[str(initializer)], repeated = (
            [array(layer.cell.recurrent_kernel) for layer in each.recurrent_layers] for each in (decoder, again)
        )
        for one, other in zip(built[str(initializer)], repeated, strict=True):
            np.testing.assert_array_equal(one, other)

    identity, orthogonal, scaled = built.values()
    for matrix in identity:
        np.testing.assert_array_equal(matrix, np.eye(UNITS))
    for matrix in orthogonal:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(UNITS), atol=1e-5)
    for matrix in scaled:
        np.testing.assert_allclose(np.abs(np.linalg.eigvals(matrix)).max(), 0.5, rtol=1e-4)
    assert np.abs(scaled[0] - scaled[1]).max() > 0.01  # seeds of their own


def test_context_decoder_drops_only_while_training(data):
    decoder = decoder_of(dtype="float32", input_dropout=0.5, recurrent_dropout=0.5, seed=1)

    still, again = (array(decoder(**data)[0]) for _ in range(2))
    trained = array(decoder(**data, training=True)[0])

    np.testing.assert_array_equal(still, again)
    assert np.abs(trained - still).max() > 0.05


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ContextDecoder(4, context="never"), ValueError, "context must be one of 'initial', 'every', 'both'"),
        (lambda: ContextDecoder(0), ValueError, "ContextDecoder: units must be a positive integer"),
        (lambda: ContextDecoder(4, layers=1.0), TypeError, "ContextDecoder: layers must be a positive integer"),
        (lambda: ContextDecoder(4, input_dropout=1), ValueError, r"input_dropout must be a number in \[0, 1\)"),
        (
            lambda: ContextDecoder(4)(np.ones((2, 3, 5), "float32"), np.ones((3, 6), "float32")),
            ValueError,
            r"context must have the shape \[batch=2, context_width\]. Received: context.shape=\(3, 6\)",
        ),
        (
            lambda: ContextDecoder(4)(np.ones((2, 3, 5), "float32"), np.ones((2, 6), "float32"), states=[]),
            ValueError,
            "states must be one for each of the 1 layers",
        ),
        (
            lambda: ContextDecoder(4)(
                np.ones((2, 3, 5), "float32"), np.ones((2, 6), "float32"), states=[np.ones((2, 3), "float32")]
            ),
            ValueError,
            r"a state must have the shape \[batch=2, units=4\]",
        ),
    ],
)
def test_context_decoder_bad_argument_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call()
