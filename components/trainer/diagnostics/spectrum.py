"""What W does to a state and to a gradient: its eigenvalues and singular values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spectrum:
    """Of a square matrix.

    Attributes:
        eigenvalues: complex [units], the largest modulus first.
        singular_values: float [units], the largest first.
    """

    eigenvalues: np.ndarray
    singular_values: np.ndarray

    @property
    def spectral_radius(self) -> float:
        """Largest modulus of an eigenvalue: what W does to a state in the long run; under 1, it dies away."""
        return float(np.abs(self.eigenvalues).max(initial=0.0))

    @property
    def largest_singular_value(self) -> float:
        """Most that W can do to a vector's length in one step; under 1 (for tanh and relu), gradients must vanish."""
        return float(self.singular_values.max(initial=0.0))


def spectrum(recurrent_kernel: np.ndarray) -> Spectrum:
    """The spectrum of W [units, units], NaN if W is not finite.

    Source: Pascanu, Mikolov and Bengio (2013), section 2.1.
    """
    exact = recurrent_kernel.astype(np.float64)
    if not np.isfinite(exact).all():
        unknown = np.full(len(exact), np.nan)
        return Spectrum(unknown.astype(complex), unknown)
    eigenvalues = np.linalg.eigvals(exact)
    order = np.lexsort((eigenvalues.imag, -np.abs(eigenvalues)))
    return Spectrum(eigenvalues[order], np.linalg.svd(exact, compute_uv=False))
