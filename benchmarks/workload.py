"""What every contender computes: the network's size, its weights and its data, made once in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VOCABULARY = 83  # of the packaged plays


@dataclass(frozen=True)
class Size:
    """One workload.

    Attributes:
        layers, units: The network: `layers` vanilla RNN layers, then a readout.
        batch, timesteps: One window.
        precision: float32 or bfloat16 (weights float32, products bfloat16).
    """

    layers: int
    units: int
    batch: int
    timesteps: int
    precision: str = "float32"

    def __str__(self) -> str:
        suffix = "" if self.precision == "float32" else f" {self.precision}"
        return f"{self.layers}x{self.units} B{self.batch} T{self.timesteps}{suffix}"

    @property
    def characters(self) -> int:
        """Characters read in one step."""
        return self.batch * self.timesteps

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of one training step.

        A product and its two gradients are three products; the first layer's input needs no gradient.
        """
        widths = [VOCABULARY] + [self.units] * self.layers
        inputs = sum(width * self.units * (2 if layer == 0 else 3) for layer, width in enumerate(widths[:-1]))
        recurrent = 3 * self.layers * self.units**2
        readout = 3 * self.units * VOCABULARY
        return 2 * self.characters * (inputs + recurrent + readout)


def weights(size: Size) -> list[np.ndarray]:
    """Kernel, recurrent kernel and bias of each layer, then kernel and bias of the readout."""
    rng = np.random.default_rng(0)
    arrays = []
    width = VOCABULARY
    for _ in range(size.layers):
        limit = np.sqrt(6 / (width + size.units))
        arrays.append(rng.uniform(-limit, limit, (width, size.units)))
        arrays.append(np.linalg.qr(rng.normal(size=(size.units, size.units)))[0])
        arrays.append(rng.uniform(-0.1, 0.1, size.units))
        width = size.units
    limit = np.sqrt(6 / (size.units + VOCABULARY))
    arrays += [rng.uniform(-limit, limit, (size.units, VOCABULARY)), rng.uniform(-0.1, 0.1, VOCABULARY)]
    return [array.astype(np.float32) for array in arrays]


def data(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets, int32 [batch, timesteps] each."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, VOCABULARY, (size.batch, size.timesteps + 1), dtype=np.int32)
    return tokens[:, :-1], tokens[:, 1:]
