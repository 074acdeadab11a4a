"""The signature of a served model of examples: raw text, numbers or a class in, classes, text or numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.exporter.text import GraphTokenizer
from components.tasks.example_task import ExampleModel, Spec


class ServedExamples(tf.Module):
    """A model of examples, with what turns requests into features and predictions into answers.

    Args:
        model: The model.
        graph: The `TransformGraph` that its features were made by.
        spec: Of the data that it was built for.
    """

    def __init__(self, model: ExampleModel, graph: Path, spec: Spec) -> None:
        super().__init__()
        self._model, self._spec = model, spec
        self._names = model.input_names(list(spec.features))
        folders = {"tokens": graph, "target": graph / "target"}
        needed = {*self._names, *model.outputs.values()} & folders.keys() & spec.features.keys()
        self._tokenizers = {
            name: GraphTokenizer(folders[name], "target_" if name == "target" else "") for name in sorted(needed)
        }

    def signatures(self) -> dict[str, Any]:
        """The function under its names: `serving_default` and the task's own."""
        serve = tf.function(self.serve).get_concrete_function(**self._specs())
        return {"serving_default": serve, self._model.signature: serve}

    def _specs(self) -> dict[str, tf.TensorSpec]:
        specs = {}
        for name in self._names:
            if name in self._tokenizers:
                specs["text"] = tf.TensorSpec([None], tf.string, "text")
                continue
            info = self._spec.features[name]
            shape = [None, *(info.shape or ())]
            specs["array"] = tf.TensorSpec(shape, tf.dtypes.as_dtype(info.dtype), "array")
            if None in shape[1:]:
                specs["lengths"] = tf.TensorSpec([None], tf.int32, "lengths")
        return specs

    def serve(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers a batch of requests; a row's answer depends on nothing of the other rows."""
        features: dict[str, Any] = {}
        lengths: dict[str, Any] = {}
        for name in self._names:
            if name in self._tokenizers:
                ids = self._tokenizers[name].encode(request["text"])
                lengths[name] = tf.cast(ids.row_lengths(), tf.int32)
                # At least one timestep, of padding: a recurrence has no result of none.
                longest = tf.maximum(tf.reduce_max(tf.concat([lengths[name], [0]], 0)), 1)
                features[name] = ids.to_tensor(0, shape=[None, longest])
            else:
                features[name] = request["array"]
                if "lengths" in request:
                    lengths[name] = request["lengths"]
        predicted = self._model.predict_batch(features, lengths)
        return self._answers(predicted, lengths.get(self._names[0]))

    def _answers(self, predicted: Mapping[str, Any], lengths: Any) -> dict[str, tf.Tensor]:
        answers = dict(predicted)
        for name, feature in self._model.outputs.items():
            if feature in self._spec.classes:
                classes = tf.constant(list(self._spec.classes[feature]))
                answers[name] = tf.gather(classes, predicted[name])
                if feature == "tags" and lengths is not None:
                    steps = tf.range(tf.shape(answers[name])[1])
                    answers[name] = tf.where(steps[None] < lengths[:, None], answers[name], "")
                answers["classes"] = classes
        return answers
