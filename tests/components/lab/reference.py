"""A vanilla RNN and its Jacobians as NumPy loops in float64; nothing here uses the code that it is a reference for."""

import numpy as np

ACTIVATIONS = {
    "tanh": (np.tanh, lambda h: 1 - h**2),
    "sigmoid": (lambda a: 1 / (1 + np.exp(-a)), lambda h: h * (1 - h)),
}


def states(weights, sequence, activation):
    """h_1 … h_T, [timesteps, units], of one sequence [timesteps, features] from a zero state."""
    kernel, recurrent_kernel, bias = (np.asarray(weight, np.float64) for weight in weights)
    h, found = np.zeros(len(bias)), []
    for x in sequence:
        h = ACTIVATIONS[activation][0](x @ kernel + h @ recurrent_kernel + bias)
        found.append(h)
    return np.stack(found)


def jacobians(weights, sequence, activation):
    """dh_T/dh_t for every t, [timesteps, units of h_T, units of h_t]."""
    h = states(weights, sequence, activation)
    product = np.eye(h.shape[1])
    found = [product]
    for after in h[:0:-1]:
        # dh_t[i]/dh_{t-1}[j] = activation'(h_t[i]) W[j, i]
        product = product @ (ACTIVATIONS[activation][1](after)[:, None] * np.asarray(weights[1], np.float64).T)
        found.append(product)
    return np.stack(found[::-1])


def random_weights(layer, seed=0, scale=0.7):
    """Gives a layer random weights, the bias included, and returns them."""
    random = np.random.default_rng(seed)
    layer.set_weights([random.normal(size=weight.shape, scale=scale) for weight in layer.get_weights()])
    return layer.get_weights()
