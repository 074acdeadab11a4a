"""From configuration and data to the arguments of an encoder, which are JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.tasks.example_task import Spec
from pipeline.config import ModelConfig


def input_arguments(config: ModelConfig, spec: Spec, source: str) -> dict[str, Any]:
    """Arguments of `Inputs` for the feature `source`."""
    if source == "tokens":
        return {"vocabulary_size": len(spec.tokenizers["tokens"]), "embedding": config.embedding}
    return {
        "vocabulary_size": None,
        "embedding": config.embedding,
        "shape": list((spec.features["array"].shape or ())[1:]),
        "mean": list(spec.mean),
        "std": list(spec.std),
        "image": config.image,
    }


def encoder_arguments(config: ModelConfig, spec: Spec, source: str, seed: int) -> dict[str, Any]:
    """Arguments of `Encoder` for the feature `source`."""
    initializer = config.recurrent_initializer
    return {
        "kind": config.encoder,
        "inputs": input_arguments(config, spec, source),
        "units": config.units,
        "layers": config.layers,
        "activation": config.activation,
        "bidirectional": config.bidirectional,
        "timesteps": spec.longest[source] if config.encoder == "concatenate" else None,
        "recurrent_initializer": initializer if isinstance(initializer, str) else initializer.model_dump(),
        "input_dropout": config.dropout.input,
        "recurrent_dropout": config.dropout.recurrent,
        "seed": seed,
    }


def without_dropout(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an encoder or writer that is to be used, not trained: what only training needs is left out."""
    left_out = ("input_dropout", "recurrent_dropout", "output_dropout", "recurrent_initializer", "seed")
    return {name: value for name, value in arguments.items() if name not in left_out}
