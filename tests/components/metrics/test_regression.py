"""MSE and MAE against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk

from components.metrics.bootstrap import ratio
from components.metrics.regression import absolute_errors, squared_errors
from components.metrics.task_baselines import mean_value

RANDOM = np.random.default_rng(0)
TARGETS, PREDICTIONS = RANDOM.normal(size=(2, 5, 4, 3)) + 2


@pytest.mark.parametrize(
    ("statistics", "reference"),
    [(squared_errors, sk.mean_squared_error), (absolute_errors, sk.mean_absolute_error)],
)
def test_errors_are_the_mean_over_all_values(statistics, reference):
    found = statistics(TARGETS, PREDICTIONS)

    assert found.shape == (5, 2)
    assert ratio(found.sum(axis=0)) == pytest.approx(reference(TARGETS.ravel(), PREDICTIONS.ravel()))
    for example in range(5):
        expected = reference(TARGETS[example].ravel(), PREDICTIONS[example].ravel())
        assert ratio(found[example]) == pytest.approx(expected)


def test_errors_of_one_value_an_example():
    assert squared_errors(np.asarray([1, 2]), np.asarray([4, 2])).tolist() == [[9, 1], [0, 1]]
    assert absolute_errors(np.asarray([1, 2]), np.asarray([-2, 2])).tolist() == [[3, 1], [0, 1]]


def test_errors_of_unsigned_integers_do_not_wrap_around():
    assert absolute_errors(np.asarray([3], np.uint8), np.asarray([1], np.uint8)).tolist() == [[2, 1]]


def test_mean_squared_error_of_the_mean_is_the_variance():
    train = TARGETS.reshape(20, 3)

    found = squared_errors(train, mean_value(train, 20)).sum(axis=0)

    assert ratio(found) == pytest.approx(train.var(axis=0).mean())


def test_errors_of_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"squared_errors: .*same shape.*Received: \(5, 1\) and \(5,\)"):
        squared_errors(np.zeros((5, 1)), np.zeros(5))


def test_errors_of_no_examples_are_empty():
    assert squared_errors(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0, 2)
