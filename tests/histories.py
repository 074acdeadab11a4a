"""A history as the Trainer writes it, made up, with every kind of entry."""

from __future__ import annotations

from typing import Any

import numpy as np


def layer(units: int = 6, decay: float = 0.8, lags: int = 40, **changed: Any) -> dict[str, Any]:
    """Measures of a layer whose influence falls by `decay` each step."""
    angles = np.linspace(0, 2 * np.pi, units, endpoint=False)
    return {
        "influence": (2 * decay ** np.arange(lags + 1)).tolist(),
        "memory_length": next((k for k in range(lags + 1) if decay**k < 0.01), None),
        "factor": decay,
        "half_life": float(np.log(0.5) / np.log(decay)) if decay < 1 else None,
        "spectral_radius": 1.1,
        "largest_singular_value": 1.4,
        "eigenvalues": [[1.1 * float(np.cos(angle)), 1.1 * float(np.sin(angle))] for angle in angles],
        "singular_values": np.linspace(1.4, 0.2, units).tolist(),
        "mean": 0.01,
        "std": 0.4,
        "norm": 1.2,
        "saturated": 0.05,
        "dead": None,
        "histogram": {"low": -1.0, "high": 1.0, "shares": [0.1, 0.4, 0.4, 0.1]},
        **changed,
    }


def measures(*layers: dict[str, Any], activation: str = "tanh", lags: int = 40) -> dict[str, Any]:
    return {"lags": lags, "rows": [8] * (lags + 1), "activation": activation, "layers": list(layers or (layer(),))}


def step(number: int, **changed: Any) -> dict[str, Any]:
    nats = 3 / (1 + number / 50)
    return {
        "epoch": 1 + number // 100,
        "step": number,
        "nats": nats,
        "bits_per_char": nats / float(np.log(2)),
        "gradient_norm": 1 + 0.5 * float(np.sin(number)),
        "clipped": 0.25,
        "learning_rate": 2e-3,
        "seconds": number / 10,
        **changed,
    }


def evaluation(number: int, bits_per_char: float, best: bool = True) -> dict[str, Any]:
    nats = bits_per_char * float(np.log(2))
    figures = {"nats": nats, "bits_per_char": bits_per_char, "perplexity": float(np.exp(nats)), "tokens": 12345}
    return {"epoch": number // 100, "step": number, "eval": figures, "best": best, "seconds": number / 10 + 1}


def whole() -> list[dict[str, Any]]:
    """Two epochs of 100 steps, with an evaluation and diagnostics after each, and two bad steps."""
    first = measures(layer(), layer(decay=0.9))
    second = measures(layer(decay=0.7, saturated=0.2), layer(decay=0.95)) | {"update_ratios": {"kernel": 1.5e-3}}
    return [
        *[step(number) for number in range(10, 101, 10)],
        evaluation(100, 2.5),
        {"epoch": 1, "step": 100, "diagnostics": first},
        *[step(number) for number in range(110, 151, 10)],
        {"step": 152, "event": {"cause": "gradient", "action": "skip"}},
        {"step": 153, "event": {"cause": "loss", "action": "rollback"}},
        *[step(number) for number in range(160, 201, 10)],
        evaluation(200, 2.25),
        {"epoch": 2, "step": 200, "diagnostics": second},
    ]
