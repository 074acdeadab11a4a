"""The signature of a served model of examples: raw text, numbers or a class in, classes, text or numbers out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.exporter.pieces import TokenTable
from components.exporter.text import GraphTokenizer
from components.tasks.example_task import ExampleModel, Spec
from components.tasks.generating import GeneratingModel
from components.transform.graph import TARGET, classes_file

# A search for more hypotheses than this is cut down to it: shapes are fixed when the graph is made.
WIDEST_BEAM = 8


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
        (self._source,) = model.input_names(list(spec.features))
        self._tokenizer = GraphTokenizer(graph) if self._source == "tokens" else None
        self._target: Any = None
        if isinstance(model, GeneratingModel):
            self._target = GraphTokenizer(graph / TARGET, "target_")
        self._labels: Any = None
        if self._source == "label":
            names = [name.encode() for name in spec.classes["label"]]
            self._labels = TokenTable({name: i for i, name in enumerate(names)}, -1)
            self._asset = tf.saved_model.Asset(str(classes_file(graph, "label")))  # for clients to read

    def signatures(self) -> dict[str, Any]:
        """The function under its names: `serving_default` and the task's own."""
        serve = self._traceable()
        return dict.fromkeys(("serving_default", self._model.signature, *self._model.aliases), serve)

    def _traceable(self) -> Any:
        """`serve` as a function of the request's own inputs, in a fixed order, with the default of the beam's width."""
        specs = self._specs()
        if not isinstance(self._model, GeneratingModel):
            return tf.function(self.serve, autograph=False).get_concrete_function(**specs)

        def answer(*values: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.serve(**dict(zip([*specs, "beam_width"], values, strict=True)))

        # A default is kept by an input signature alone, and only as a tensor.
        inputs = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in specs]
        width = inspect.Parameter("beam_width", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=tf.constant([1]))
        answer.__signature__ = inspect.Signature([*inputs, width])  # type: ignore[attr-defined]
        return tf.function(answer, [*specs.values(), tf.TensorSpec([None], tf.int32, "beam_width")], autograph=False)

    def _specs(self) -> dict[str, tf.TensorSpec]:
        if self._source == "tokens":
            return {"text": tf.TensorSpec([None], tf.string, "text")}
        if self._source == "label":
            return {"label": tf.TensorSpec([None], tf.string, "label")}
        info = self._spec.features[self._source]
        specs = {"array": tf.TensorSpec([None, *(info.shape or ())], tf.dtypes.as_dtype(info.dtype), "array")}
        if info.is_ragged:
            specs["lengths"] = tf.TensorSpec([None], tf.int32, "lengths")
        return specs

    def serve(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        """Answers a batch of requests; a row's answer depends on nothing of the other rows."""
        lengths: tf.Tensor | None = None
        if self._tokenizer is not None:
            ids = self._tokenizer.encode(request["text"])
            given, lengths = ids.to_tensor(0), tf.cast(ids.row_lengths(), tf.int32)
        elif self._labels is not None:
            given = self._known(request["label"])
        else:
            given = request["array"]
            if "lengths" in request:
                lengths = self._fitting(request["lengths"], given)
        batch = tf.shape(given)[0]
        features = {self._source: _at_least_one(given, axes=1 if lengths is None else 2)}
        filled = {} if lengths is None else {self._source: _at_least_one(lengths)}
        if isinstance(self._model, GeneratingModel):
            return self._written(self._model, (features, filled), request["beam_width"], batch)
        predicted = self._model.predict_batch(features, filled)
        return self._named({name: value[:batch] for name, value in predicted.items()}, lengths)

    def _known(self, labels: tf.Tensor) -> tf.Tensor:
        """Ids of classes, int32 [batch]."""
        ids = self._labels.lookup(labels)
        rule = "label must be one of the classes in assets/label.txt. Received: label="
        return self._checked(ids, tf.reduce_all(ids >= 0), rule, labels[ids < 0])

    def _fitting(self, lengths: tf.Tensor, array: tf.Tensor) -> tf.Tensor:
        """Lengths that the array can have, int32 [batch]."""
        shape = tf.shape(array)
        fits = (tf.size(lengths) == shape[0]) & tf.reduce_all((lengths >= 0) & (lengths <= shape[1]))
        rule = "lengths must be one for each row of array, from 0 to its timesteps. Received: shape of array, lengths="
        return self._checked(lengths, fits, rule, shape, lengths)

    def _checked(self, value: tf.Tensor, is_right: tf.Tensor, rule: str, *received: Any) -> tf.Tensor:
        """The value; if it is not right, the request ends with an error that says the rule and what was received."""
        check = tf.debugging.Assert(is_right, [f"{self._model.signature}: {rule}", *received])
        with tf.control_dependencies([check]):
            return tf.identity(value)

    def _written(
        self, model: GeneratingModel, given: tuple[Any, Any], beam_width: tf.Tensor, batch: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        rule = "beam_width must be one number, or one for each row. Received: rows, beam_width="
        fits = (tf.size(beam_width) == 1) | (tf.size(beam_width) == batch)
        active = _at_least_one(tf.broadcast_to(self._checked(beam_width, fits, rule, batch, beam_width), [batch]))
        # Most requests are greedy, which costs an eighth of the widest search.
        predicted = tf.cond(
            tf.reduce_max(active) > 1,
            lambda: model.search(*given, width=WIDEST_BEAM, active_width=active),
            lambda: model.search(*given, width=1),
        )
        predicted = {name: value[:batch] for name, value in predicted.items()}
        text = self._target.append(tf.fill([batch], ""), predicted["text"], predicted["lengths"])
        return {"text": text, "log_prob": predicted["log_prob"], "finished": predicted["finished"]}

    def _named(self, predicted: Mapping[str, Any], lengths: Any) -> dict[str, tf.Tensor]:
        answers = dict(predicted)
        for name, feature in self._model.classes_of.items():
            classes = self._spec.classes[feature]
            answers[name] = tf.gather(tf.constant(list(classes)), predicted[name])
            # In each row: TensorFlow Serving's row format, and its batching, want as many rows of every output.
            answers["classes"] = tf.broadcast_to(classes, [tf.shape(predicted[name])[0], len(classes)])
            if feature == "tags" and lengths is not None:
                steps = tf.range(tf.shape(answers[name])[1])
                answers[name] = tf.where(steps[None] < lengths[:, None], answers[name], "")
        return answers


def _at_least_one(values: tf.Tensor, axes: int = 1) -> tf.Tensor:
    """With zeros where there are no rows (and timesteps, for two axes): of none, a network has no result."""
    missing = [[0, tf.maximum(1 - tf.shape(values)[axis], 0)] for axis in range(axes)]
    return tf.pad(values, missing + [[0, 0]] * (values.shape.rank - axes))
