"""Language models with an embedding, tied, with skip connections and dropout, and their equations in NumPy, float64."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from components.tasks.language_model import LanguageModel
from custom_layers import Dropout
from tests.testing import Array, random_model, to_numpy

BATCH, TIMESTEPS, VOCABULARY, UNITS = 3, 8, 6, 5
# Name → arguments. The table is narrower than the state where it may be.
VARIANTS: dict[str, dict[str, Any]] = {
    "embedding": {"embedding": 4},
    "tied": {"embedding": UNITS, "tied": True},
    "skip": {"skip_connections": True},
    "embedding and skip": {"embedding": 4, "skip_connections": True},
    "all": {"embedding": UNITS, "tied": True, "skip_connections": True},
}
DROPOUT = {"input_dropout": 0.3, "recurrent_dropout": 0.4, "output_dropout": 0.2}


def variant(name: str, layers: int = 2, **arguments: Any) -> LanguageModel:
    return random_model(VOCABULARY, UNITS, layers, **VARIANTS[name], **arguments)


def forward(
    model: LanguageModel, tokens: Array, states: list[Array], reset: Array | None = None, masks: Any = None
) -> tuple[Array, list[Array]]:
    """Logits and final states, from the weights in the order that they are documented in and masks like `ones`."""
    weights = [np.asarray(weight, np.float64) for weight in model.get_weights()]
    c = weights.pop()
    table = np.eye(model.vocabulary_size) if model.embedding is None else weights.pop(0)
    v = table.T if model.tied else weights.pop()
    layers = [weights[i : i + 3] for i in range(0, len(weights), 3)]
    states = [np.asarray(state, np.float64) for state in states]
    masks = masks or ones(model, *tokens.shape)

    logits = []
    for t in range(tokens.shape[1]):
        x = below = table[tokens[:, t]]
        for number, (u, w, b) in enumerate(layers):
            if number > 0 and model.skip_connections:
                below = np.concatenate([below, x], axis=1)
            before = states[number] if reset is None else states[number] * ~reset[:, t, None]
            read = below * masks["input"][number][:, t]
            below = states[number] = np.tanh(read @ u + (before * masks["recurrent"][number]) @ w + b)
        logits.append((below * masks["output"][:, t]) @ v + c)
    return np.stack(logits, axis=1), states


def ones(model: LanguageModel, batch: int, timesteps: int) -> Any:
    """Masks that drop nothing: input, for each layer, and output [batch, timesteps, …]; recurrent [batch, units]."""
    widths = [layer.cell.kernel.shape[0] for layer in model.recurrent_layers]
    return {
        "input": [np.ones((batch, timesteps, width), "float32") for width in widths],
        "recurrent": [np.ones((batch, model.units), "float32") for _ in widths],
        "output": np.ones((batch, timesteps, model.units), "float32"),
    }


def next_masks(model: LanguageModel, batch: int, timesteps: int, run: Any = lambda function: function()) -> Any:
    """The masks that the next call in training will draw, from copies of its generators; `run` calls or compiles."""

    def copy(generator: keras.random.SeedGenerator) -> keras.random.SeedGenerator:
        made = keras.random.SeedGenerator(0)
        made.state.assign(generator.state)
        return made

    def copied(layer: Dropout) -> Dropout:
        made = Dropout(layer.rate, seed=0)
        if layer.rate:
            made.seed_generator.state.assign(layer.seed_generator.state)
        return made

    drop = {"input": copied(model.drop_input), "output": copied(model.drop_output)}
    generators = {
        "recurrent": [copy(layer.cell.seed_generator) for layer in model.recurrent_layers],
    }

    def draw() -> Any:
        full = ones(model, batch, timesteps)
        return {
            "input": [drop["input"](mask, training=True) for mask in full["input"]],
            "recurrent": [
                keras.random.dropout(mask, model.recurrent_dropout, seed=generator)
                for mask, generator in zip(full["recurrent"], generators["recurrent"], strict=True)
            ],
            "output": drop["output"](full["output"], training=True),
        }

    return keras.tree.map_structure(to_numpy, run(draw))
