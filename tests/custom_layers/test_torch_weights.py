"""Weights to and from PyTorch's nn.RNN: by its equation, and against nn.RNN itself where it is installed."""

import importlib.util

import numpy as np
import pytest

from custom_layers import VanillaRNN
from custom_layers.torch_weights import from_torch, to_torch

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 5, 3, 4


def parameters(suffix="_l0"):
    random = np.random.default_rng(0)
    shapes = {"weight_ih": (UNITS, FEATURES), "weight_hh": (UNITS, UNITS), "bias_ih": UNITS, "bias_hh": UNITS}
    return {name + suffix: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def inputs():
    random = np.random.default_rng(1)
    x, state = random.normal(size=(BATCH, TIMESTEPS, FEATURES)), random.normal(size=(BATCH, UNITS))
    return x.astype("float32"), state.astype("float32")


def layer_with(weights):
    layer = VanillaRNN(UNITS, return_sequences=True)
    layer.build((BATCH, TIMESTEPS, FEATURES))
    layer.set_weights(weights)
    return layer


def test_from_torch_weights_compute_the_equation_of_nn_rnn():
    p = parameters()
    x, state = inputs()
    outputs = np.asarray(layer_with(from_torch(p))(x, initial_state=state))
    for t in range(TIMESTEPS):
        state = np.tanh(x[:, t] @ p["weight_ih_l0"].T + p["bias_ih_l0"] + state @ p["weight_hh_l0"].T + p["bias_hh_l0"])
        np.testing.assert_allclose(outputs[:, t], state, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch (extra `bench`) is not installed")
@pytest.mark.parametrize("reverse", [False, True])
def test_from_torch_weights_equal_nn_rnn(reverse):
    import torch

    rnn = torch.nn.RNN(FEATURES, UNITS, batch_first=True, bidirectional=True)
    x, _ = inputs()
    with torch.no_grad():
        both = rnn(torch.from_numpy(x))[0].numpy()
    layer = VanillaRNN(UNITS, return_sequences=True, go_backwards=reverse)
    layer.build(x.shape)
    layer.set_weights(from_torch(rnn.state_dict(), reverse=reverse))
    # PyTorch gives the backward direction's states in the order of time, Keras in the order they came in.
    expected = both[:, ::-1, UNITS:] if reverse else both[:, :, :UNITS]
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("use_bias", [True, False])
def test_to_torch_and_back_gives_the_same_weights(reverse, use_bias):
    random = np.random.default_rng(2)
    weights = [random.normal(size=shape) for shape in [(FEATURES, UNITS), (UNITS, UNITS), (UNITS,)][: 2 + use_bias]]
    named = to_torch(weights, layer=1, reverse=reverse)
    suffix = "_l1_reverse" if reverse else "_l1"
    assert set(named) == {
        name + suffix for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"][: 2 + 2 * use_bias]
    }
    back = from_torch(named, layer=1, reverse=reverse)
    assert len(back) == len(weights)
    for weight, same in zip(weights, back, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_from_torch_of_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"must hold weight_ih_l1 and weight_hh_l1\. Received:"):
        from_torch(parameters(), layer=1)


def test_to_torch_of_other_weights_is_refused():
    with pytest.raises(ValueError, match=r"Received: len\(weights\)=4"):
        to_torch([np.ones((1, 1))] * 4)


def test_from_torch_copies():
    p = parameters()
    kernel, *_ = from_torch(p)
    before = kernel.copy()
    p["weight_ih_l0"][:] = 0
    np.testing.assert_array_equal(kernel, before)


def test_from_torch_one_bias_of_two_is_refused():
    p = parameters()
    del p["bias_hh_l0"]
    with pytest.raises(ValueError, match="must hold both bias_ih_l0 and bias_hh_l0, or neither"):
        from_torch(p)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch (extra `bench`) is not installed")
def test_to_torch_loads_into_nn_rnn():
    import torch

    layer = layer_with(from_torch(parameters()))
    rnn = torch.nn.RNN(FEATURES, UNITS, batch_first=True)
    rnn.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in to_torch(layer.get_weights()).items()})
    x, state = inputs()
    with torch.no_grad():
        expected = rnn(torch.from_numpy(x), torch.from_numpy(state[None]))[0].numpy()
    np.testing.assert_allclose(np.asarray(layer(x, initial_state=state)), expected, rtol=1e-5, atol=1e-6)
