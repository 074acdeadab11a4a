"""VanillaRNN against Keras' SimpleRNN over random configurations, and against a stack of PyTorch's nn.RNN."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from custom_layers import VanillaRNN
from custom_layers.torch_weights import from_torch

# Keras 3.15 itself reads JAX variables in a way that NumPy 2 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

QUICK = {"jax": "jit"}.get(keras.backend.backend(), "eager")  # the mode for what is not itself under test

# Both sides compute in float32 and differ in the order of their sums: x U + b and x U + b + h W are rounded apart, and
# a weight's gradient is one product here, a sum over the timesteps there. States are of order 1 and gradients sums of
# up to 9 · 4 terms of order 1; one rounding is 6e-8 of a term, and the loop carries each on for a few timesteps.
FORWARD = {"rtol": 1e-5, "atol": 1e-5}
GRADIENT = {"rtol": 1e-4, "atol": 1e-4}

CONFIGURATIONS = st.fixed_dictionaries(
    {
        "units": st.integers(1, 6),
        "features": st.integers(1, 6),
        "batch": st.integers(1, 4),
        "timesteps": st.integers(1, 9),
        "activation": st.sampled_from(["tanh", "relu", "sigmoid", "hard_sigmoid", "linear", "elu"]),
        "use_bias": st.booleans(),
        "go_backwards": st.booleans(),
        "return_sequences": st.booleans(),
        "return_state": st.booleans(),
        "unroll": st.booleans(),
        "initial_state": st.booleans(),
        "mask": st.booleans(),
        "seed": st.integers(0, 2**16),
    }
)
EVERYTHING = dict.fromkeys(("use_bias", "return_sequences", "return_state", "initial_state", "mask"), True)
EVERYTHING |= {"units": 5, "features": 4, "batch": 3, "timesteps": 7, "activation": "tanh", "seed": 0}
# One number of state: XLA fuses the products of JAX's loop with its writes, and once got both wrong (5 to 7 timesteps).
ONE = dict.fromkeys(("use_bias", "go_backwards", "return_sequences", "return_state", "unroll", "mask"), False)
ONE |= {"units": 1, "features": 1, "batch": 1, "timesteps": 5, "initial_state": False, "activation": "relu", "seed": 1}


def pair(units, features, batch, timesteps, scales, random, **arguments):
    """Return a SimpleRNN and a VanillaRNN, and the random weights that both are to compute with."""
    layers = [kind(units, **arguments) for kind in (keras.layers.SimpleRNN, VanillaRNN)]
    for layer in layers:
        layer.build((batch, timesteps, features))
    shapes = [tuple(weight.shape) for weight in layers[0].weights]
    assert [tuple(weight.shape) for weight in layers[1].weights] == shapes
    return layers, [scale * random.normal(size=shape) for scale, shape in zip(scales, shapes, strict=False)]


def outputs_with(layer, weights, *arguments, **keywords):
    with keras.StatelessScope(state_mapping=list(zip(layer.weights, weights, strict=True))):
        return keras.tree.flatten(layer(*arguments, **keywords))


def in_one_vector(tensors):
    return keras.ops.concatenate([keras.ops.reshape(tensor, (-1,)) for tensor in tensors])


# The fixture is a plain function, the same for every example.
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({**EVERYTHING, "go_backwards": False, "unroll": False})
@example({**EVERYTHING, "go_backwards": True, "unroll": True})
@example(ONE)
@example({**ONE, "activation": "hard_sigmoid", "timesteps": 7, "return_sequences": True, "initial_state": True})
@given(CONFIGURATIONS)
def test_vanilla_rnn_any_configuration_equals_simple_rnn(value_and_gradients, configuration):
    arguments = dict(configuration)
    random = np.random.default_rng(arguments.pop("seed"))
    with_state, with_mask = arguments.pop("initial_state"), arguments.pop("mask")
    batch, timesteps, units = (arguments[name] for name in ("batch", "timesteps", "units"))
    layers, weights = pair(**arguments, scales=(0.8, 0.8 / units**0.5, 0.5), random=random)
    keywords = {}
    if with_mask:
        lengths = random.integers(1, timesteps, size=batch, endpoint=True)
        keywords["mask"] = np.arange(timesteps) < lengths[:, None]
    inputs = [random.normal(size=(batch, timesteps, arguments["features"]))]
    inputs += [random.normal(size=(batch, units))] * with_state
    counted = np.ones((batch, timesteps, 1), bool)
    if with_mask and with_state and arguments["go_backwards"]:
        # The padding comes first then. There, and only there, the two differ as VanillaRNN's docstring says: zeros
        # against the initial state.
        counted = keywords["mask"][:, ::-1, None]

    def function(*tensors):
        """Both layers in one vector, with weights and inputs of their own, so that the gradients stay apart."""
        outputs = []
        for layer, own in zip(layers, (tensors[: len(tensors) // 2], tensors[len(tensors) // 2 :]), strict=True):
            state = {"initial_state": own[-1]} if with_state else {}
            parts = outputs_with(layer, own[: len(weights)], own[len(weights)], **state, **keywords)
            if arguments["return_sequences"]:
                parts[0] = keras.ops.where(counted, parts[0], keras.ops.zeros_like(parts[0]))
            outputs += parts
        return in_one_vector(outputs)

    arrays = [array.astype("float32") for array in weights + inputs]
    size = batch * units * ((timesteps if arguments["return_sequences"] else 1) + arguments["return_state"])
    output_weights = random.normal(size=size)
    output, gradients = value_and_gradients(function, arrays * 2, QUICK, np.tile(output_weights, 2))

    expected, actual = np.split(output, 2)
    assert actual.shape == (size,)
    assert arguments["activation"] == "relu" or np.abs(expected).max() > 1e-2  # a relu unit may be dead
    np.testing.assert_allclose(actual, expected, **FORWARD)
    names = ["kernel", "recurrent kernel", "bias"][: len(weights)] + ["sequences", "initial state"][: len(inputs)]
    for name, expected, actual in zip(names, gradients[: len(names)], gradients[len(names) :], strict=True):
        assert actual.shape == expected.shape, name
        if EVERYTHING.items() <= configuration.items():
            assert np.abs(expected).max() > 1e-2, f"negligible gradient of the {name}: this would pass on zeros"
        np.testing.assert_allclose(actual, expected, **GRADIENT, err_msg=name)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_vanilla_rnn_two_layers_equal_nn_rnn_with_all_gradients(activation, value_and_gradients):
    torch = pytest.importorskip("torch", reason="PyTorch (extra `bench`) is not installed")
    batch, timesteps, features, units = 3, 7, 4, 5
    random = np.random.default_rng(0)
    x, states = random.normal(size=(batch, timesteps, features)), random.normal(size=(2, batch, units))
    output_weights = random.normal(size=(timesteps + 2) * batch * units)

    torch.manual_seed(0)
    rnn = torch.nn.RNN(features, units, num_layers=2, nonlinearity=activation, batch_first=True)
    torch_inputs = [torch.tensor(array, dtype=torch.float32, requires_grad=True) for array in (x, states)]
    outputs, final_states = rnn(*torch_inputs)
    expected = torch.cat([outputs.flatten(), final_states.flatten()])
    (expected * torch.tensor(output_weights, dtype=torch.float32)).sum().backward()
    parameters = {name: parameter.detach().numpy() for name, parameter in rnn.named_parameters()}
    d_parameters = {name: parameter.grad.numpy() for name, parameter in rnn.named_parameters()}

    layers = []
    for features_in in (features, units):
        layers.append(VanillaRNN(units, activation=activation, return_sequences=True, return_state=True))
        layers[-1].build((batch, timesteps, features_in))

    def function(*tensors):
        sequences, *initial_states = tensors[6:]
        finals = []
        for i, layer in enumerate(layers):
            own = tensors[3 * i : 3 * i + 3]
            sequences, final = outputs_with(layer, own, sequences, initial_state=initial_states[i])
            finals.append(final)
        return in_one_vector([sequences, *finals])

    weights = from_torch(parameters, layer=0) + from_torch(parameters, layer=1)
    arrays = [array.astype("float32") for array in (*weights, x, *states)]
    actual, gradients = value_and_gradients(function, arrays, QUICK, output_weights)

    np.testing.assert_allclose(actual, expected.detach().numpy(), **FORWARD)
    expected_gradients = []
    for i in range(2):
        d_kernel, d_recurrent_kernel, d_both_biases = from_torch(d_parameters, layer=i)
        expected_gradients += [d_kernel, d_recurrent_kernel, d_both_biases / 2]  # each bias gets the sum's gradient
        np.testing.assert_allclose(d_parameters[f"bias_ih_l{i}"], d_parameters[f"bias_hh_l{i}"], **GRADIENT)
    expected_gradients += [torch_inputs[0].grad.numpy(), *torch_inputs[1].grad.numpy()]
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert np.abs(expected_gradient).max() > 1e-2, "negligible gradient: this would pass on zeros"
        np.testing.assert_allclose(gradient, expected_gradient, **GRADIENT)
