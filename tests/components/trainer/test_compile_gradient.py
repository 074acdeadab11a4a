"""The compiled gradient of a scalar function, on either backend."""

import keras
import numpy as np
from keras import ops

from components.trainer.backend import compile_gradient
from tests.testing import to_numpy


def test_compile_gradient_returns_value_and_gradients_nested_like_the_argument():
    def function(differentiated, scale):
        (a, b), _ = differentiated
        return ops.sum(scale * a**2 * b)

    a, b, unused, scale = (np.asarray(values, "float32") for values in ([1, 2, 3], [4, 5, 6], [7], [1, -1, 2]))
    value, ((d_a, d_b), d_unused) = compile_gradient(keras.layers.Dense(1), function)(((a, b), unused), scale)

    np.testing.assert_allclose(float(value), 4 - 20 + 108)
    np.testing.assert_allclose(to_numpy(d_a), 2 * scale * a * b)
    np.testing.assert_allclose(to_numpy(d_b), scale * a**2)
    np.testing.assert_allclose(to_numpy(d_unused), [0])


def test_compile_gradient_reads_the_variables_of_the_layer_at_each_call():
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 2))
    gradient = compile_gradient(layer, lambda x: ops.sum(layer(x)))
    for weights in ([[1.0], [2.0]], [[-3.0], [4.0]]):
        layer.set_weights([np.asarray(weights)])
        np.testing.assert_allclose(to_numpy(gradient(np.ones((1, 2), "float32"))[1]), np.transpose(weights))
