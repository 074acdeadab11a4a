"""Writes a SavedModel, on TensorFlow: `python -m components.exporter.export NAME OUTPUT INPUTS`, these as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from components.exporter.card import FILE, model_card
from components.exporter.facts import gather
from components.exporter.served_examples import ServedExamples
from components.exporter.served_model import ServedModel
from components.exporter.text import GraphTokenizer
from components.exporter.warmup import write_warmup
from components.tasks.example_task import ExampleModel, Spec
from components.tasks.files import ARCHITECTURE, load
from components.tasks.language_model import LanguageModel


def export(name: str, output: Path, inputs: Mapping[str, Path]) -> None:
    """Rebuilds the Keras model, traces the signatures and saves them; vocabulary and architecture become assets.

    Args:
        name: What the model is served as.
        output: Folder of the SavedModel.
        inputs: Of the Exporter.
    """
    model, graph = load(inputs["model"]), inputs["transform_graph"]
    served: ServedModel | ServedExamples
    label = None
    if isinstance(model, ExampleModel):
        spec = Spec.read(graph)
        served = ServedExamples(model, graph, spec)
        label = next(iter(spec.classes.get("label", ())), None)
    elif isinstance(model, LanguageModel):
        served = ServedModel(model, GraphTokenizer(graph))
    else:
        raise TypeError(
            f"Exporter: a model must be of a known task. Received: {type(model).__name__} in {inputs['model']}."
        )
    served.architecture = tf.saved_model.Asset(str(inputs["model"] / ARCHITECTURE))  # for who looks inside
    tf.saved_model.save(served, str(output), signatures=served.signatures())
    write_warmup(output, name, label)
    (output / FILE).write_text(model_card(gather(name, model, inputs, output)), encoding="utf-8")


if __name__ == "__main__":
    folders = {key: Path(path) for key, path in json.loads(sys.argv[3]).items()}
    export(sys.argv[1], Path(sys.argv[2]), folders)
