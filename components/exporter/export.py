"""Writes a SavedModel, on TensorFlow: `python -m components.exporter.export MODEL TRANSFORM_GRAPH OUTPUT`."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

from components.exporter.served_examples import ServedExamples
from components.exporter.served_model import ServedModel
from components.exporter.text import GraphTokenizer
from components.tasks.example_task import ExampleModel, Spec
from components.tasks.files import ARCHITECTURE, load
from components.tasks.language_model import LanguageModel


def export(model: Path, transform_graph: Path, output: Path) -> None:
    """Rebuilds the Keras model, traces the signatures and saves them; vocabulary and architecture become assets."""
    loaded = load(model)
    served: ServedModel | ServedExamples
    if isinstance(loaded, ExampleModel):
        served = ServedExamples(loaded, transform_graph, Spec.read(transform_graph))
    elif isinstance(loaded, LanguageModel):
        served = ServedModel(loaded, GraphTokenizer(transform_graph))
    else:
        raise TypeError(f"Exporter: a model must be of a known task. Received: {type(loaded).__name__} in {model}.")
    served.architecture = tf.saved_model.Asset(str(model / ARCHITECTURE))  # for who looks inside
    tf.saved_model.save(served, str(output), signatures=served.signatures())


if __name__ == "__main__":
    export(*map(Path, sys.argv[1:]))
