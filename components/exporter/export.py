"""Writes a SavedModel, on TensorFlow: `python -m components.exporter.export MODEL TRANSFORM_GRAPH OUTPUT`."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

from components.exporter.served_model import ServedModel
from components.exporter.text import GraphTokenizer
from components.tasks.language_model import load


def export(model: Path, transform_graph: Path, output: Path) -> None:
    """Rebuilds the Keras model, traces the signatures and saves them; the vocabulary becomes an asset."""
    served = ServedModel(load(model), GraphTokenizer(transform_graph))
    tf.saved_model.save(served, str(output), signatures=served.signatures())


if __name__ == "__main__":
    export(*map(Path, sys.argv[1:]))
