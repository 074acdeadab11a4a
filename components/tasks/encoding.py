"""From configuration and data to the arguments of an encoder, which are JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.tasks.example_task import Spec
from pipeline.config import ModelConfig
from pipeline.model_config import WRITERS


def input_arguments(config: ModelConfig, spec: Spec, source: str) -> dict[str, Any]:
    """Arguments of `Inputs` for the feature `source`.

    Raises:
        ValueError: The configuration says how images are read, or how wide their vectors are, and there are none.
    """
    shape = list((spec.features["array"].shape or ())[1:]) if source == "array" else []
    if len(shape) != 3:
        check_no_image(config, source)
    if source == "tokens":
        return {"vocabulary_size": len(spec.tokenizers["tokens"]), "embedding": config.embedding}
    return {
        "vocabulary_size": None,
        "embedding": config.embedding,
        "shape": shape,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "image": config.image,
    }


def initializer_argument(config: ModelConfig) -> str | dict[str, float]:
    """The argument `recurrent_initializer`, as JSON."""
    initializer = config.recurrent_initializer
    return initializer if isinstance(initializer, str) else initializer.model_dump()


def encoder_arguments(config: ModelConfig, spec: Spec, source: str, seed: int) -> dict[str, Any]:
    """Arguments of `Encoder` for the feature `source`."""
    return {
        "kind": config.encoder,
        "inputs": input_arguments(config, spec, source),
        "units": config.units,
        "layers": config.layers,
        "activation": config.activation,
        "bidirectional": config.bidirectional,
        "timesteps": spec.longest[source] if config.encoder == "concatenate" else None,
        "recurrent_initializer": initializer_argument(config),
        "input_dropout": config.dropout.input,
        "recurrent_dropout": config.dropout.recurrent,
        "seed": seed,
    }


def without_dropout(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of an encoder or writer that is to be used, not trained: what only training needs is left out."""
    left_out = ("input_dropout", "recurrent_dropout", "output_dropout", "recurrent_initializer", "seed")
    return {name: value for name, value in arguments.items() if name not in left_out}


def check_no_image(config: ModelConfig, source: str) -> None:
    """Refuses the keys of images for a feature that has none; see `input_arguments`."""
    if config.image != "cnn":
        raise ValueError(
            f"Trainer: model.image must stand for images, which the examples have none of. Received: "
            f"model.image={config.image!r} for the task {config.task!r}, which reads {source}. Leave it out."
        )
    if config.embedding is not None and source == "array" and config.task not in WRITERS:
        raise ValueError(
            "Trainer: model.embedding must be the width of the vectors of words or images; a series is read as it is. "
            f"Received: model.embedding={config.embedding!r} for the task {config.task!r}. Leave it out."
        )
