"""The recurrent kernel's initial values, by the names of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from custom_layers import SpectralRadius


def recurrent_initializer(name: str | Mapping[str, float], seed: int) -> keras.initializers.Initializer:
    """Makes W's initialiser.

    Args:
        name: `orthogonal`, `identity`, or {`spectral_radius`: r}.
        seed: Of what is random in it.

    Raises:
        ValueError: Another name.
    """
    if name == "orthogonal":
        return keras.initializers.Orthogonal(seed=seed)
    if name == "identity":
        return keras.initializers.Identity()
    if isinstance(name, Mapping) and set(name) == {"spectral_radius"}:
        return SpectralRadius(name["spectral_radius"], seed=seed)
    raise ValueError(
        "Model: recurrent_initializer must be one of the known ones. Received: "
        f"recurrent_initializer={name!r}. Pass 'orthogonal', 'identity' or {{'spectral_radius': 1.1}}, say."
    )
