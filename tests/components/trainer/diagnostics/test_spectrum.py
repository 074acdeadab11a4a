"""Spectra of matrices that have closed forms."""

import numpy as np
import pytest

from components.trainer.diagnostics.spectrum import spectrum


def test_spectrum_of_a_scaled_rotation_is_on_a_circle():
    angle = 0.3
    rotation = 0.5 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], "float32")

    found = spectrum(rotation)

    np.testing.assert_allclose(sorted(found.eigenvalues.imag), [-0.5 * np.sin(angle), 0.5 * np.sin(angle)], atol=1e-7)
    np.testing.assert_allclose(found.eigenvalues.real, 0.5 * np.cos(angle), atol=1e-7)
    assert found.spectral_radius == pytest.approx(0.5)
    np.testing.assert_allclose(found.singular_values, [0.5, 0.5], atol=1e-7)


def test_spectrum_of_a_matrix_that_is_not_normal_has_a_larger_singular_value_than_radius():
    found = spectrum(np.array([[0, 2, 0], [0.125, 0, 0], [0, 0, -0.25]], "float32"))

    assert sorted(found.eigenvalues[:2].real) == pytest.approx([-0.5, 0.5])
    assert found.eigenvalues[2] == pytest.approx(-0.25)  # the largest modulus first
    assert found.spectral_radius == pytest.approx(0.5)
    assert found.singular_values.tolist() == pytest.approx([2, 0.25, 0.125])
    assert found.largest_singular_value == pytest.approx(2)


def test_spectrum_of_what_is_not_finite_is_not_a_number():
    found = spectrum(np.array([[np.nan, 0], [0, 1]], "float32"))

    assert np.isnan(found.spectral_radius)
    assert np.isnan(found.largest_singular_value)
