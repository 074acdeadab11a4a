"""Components along eigenvectors: the layer against powers of the eigenvalues."""

import numpy as np

from components.lab import eigen

EIGENVALUES = (1.2, -0.9, 0.6)


def test_eigen_components_of_the_layers_states_are_powers_of_the_eigenvalues():
    figures = eigen.measure(seed=3, eigenvalues=EIGENVALUES, timesteps=7)
    expected = [
        [value**t * start for value, start in zip(EIGENVALUES, figures.measured[0], strict=True)] for t in range(8)
    ]
    assert np.abs(figures.measured[0]).min() > 0.1  # guard: no component is zero from the start
    np.testing.assert_allclose(figures.measured, expected, rtol=1e-4)
    np.testing.assert_allclose(figures.formula, expected, rtol=1e-12)
    assert figures.error < 1e-5


def test_eigen_error_is_large_where_the_formula_does_not_hold(monkeypatch):
    # Guard: with another W than the one whose eigenvectors are looked at, measured and formula part.
    monkeypatch.setattr(eigen.np, "diag", lambda scale: np.eye(len(scale)) * 0.5)
    assert eigen.measure(seed=3, eigenvalues=EIGENVALUES, timesteps=7).error > 0.1
