"""One weight: states and gradients are its powers."""

import numpy as np

from components.lab import scalar


def test_scalar_states_and_gradients_equal_the_powers_of_the_weight():
    weights = (-1.2, 0.5, 1.0, 1.3)
    figures = scalar.measure(weights, timesteps=9)
    powers = np.asarray(weights)[:, None] ** np.arange(1, 10)
    assert (powers < 0).any()  # guard: the layer's sign counts too
    np.testing.assert_allclose(figures.states, powers, rtol=1e-5)
    np.testing.assert_allclose(figures.gradients, powers, rtol=1e-5)


def test_scalar_sentences_say_what_becomes_of_the_gradient():
    told = scalar.sentences(scalar.measure((0.5, 1.0, 2.0), timesteps=4))
    assert told[0] == "w = 0.5: dh_4/dh_0 = 0.0625, and w^4 = 0.0625: the gradient vanishes."
    assert told[1].endswith("stays.")
    assert told[2].endswith("explodes.")
