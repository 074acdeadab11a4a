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
            return tf.function(self.serve).get_concrete_function(**specs)

        def answer(*values: tf.Tensor) -> dict[str, tf.Tensor]:
            return self.serve(**dict(zip([*specs, "beam_width"], values, strict=True)))

        # A default is kept by an input signature alone, and only as a tensor.
        inputs = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in specs]
        width = inspect.Parameter("beam_width", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=tf.constant([1]))
        answer.__signature__ = inspect.Signature([*inputs, width])  # type: ignore[attr-defined]
        return tf.function(answer, [*specs.values(), tf.TensorSpec([None], tf.int32, "beam_width")])

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
        features: dict[str, Any] = {}
        lengths: dict[str, Any] = {}
        if self._tokenizer is not None:
            ids = self._tokenizer.encode(request["text"])
            lengths["tokens"] = tf.cast(ids.row_lengths(), tf.int32)
            rows = ids.to_tensor(0)
            # At least one timestep, of padding: a recurrence has no result of none.
            features["tokens"] = tf.pad(rows, [[0, 0], [0, tf.maximum(1 - tf.shape(rows)[1], 0)]])
        elif self._labels is not None:
            features["label"] = self._known(request["label"])
        else:
            features["array"] = request["array"]
            if "lengths" in request:
                lengths["array"] = request["lengths"]
        if isinstance(self._model, GeneratingModel):
            return self._written(self._model, (features, lengths), request["beam_width"])
        return self._named(self._model.predict_batch(features, lengths), lengths.get(self._source))

    def _known(self, labels: tf.Tensor) -> tf.Tensor:
        """Ids of classes, int32 [batch]; one that is not known ends the request with an error that names it."""
        ids = self._labels.lookup(labels)
        rule = f"{self._model.signature}: label must be one of the classes in assets/label.txt. Received: label="
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(ids >= 0), [rule, labels[ids < 0]])]):
            return tf.identity(ids)

    def _written(self, model: GeneratingModel, given: tuple[Any, Any], beam_width: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.shape(given[0][self._source])[0]
        active = tf.broadcast_to(beam_width, [batch])
        # Most requests are greedy, which costs an eighth of the widest search.
        predicted = tf.cond(
            tf.reduce_max(active) > 1,
            lambda: model.search(*given, width=WIDEST_BEAM, active_width=active),
            lambda: model.search(*given, width=1),
        )
        text = self._target.append(tf.fill([batch], ""), predicted["text"], predicted["lengths"])
        return {"text": text, "log_prob": predicted["log_prob"], "finished": predicted["finished"]}

    def _named(self, predicted: Mapping[str, Any], lengths: Any) -> dict[str, tf.Tensor]:
        answers = dict(predicted)
        for name, feature in self._model.classes_of.items():
            answers["classes"] = classes = tf.constant(list(self._spec.classes[feature]))
            answers[name] = tf.gather(classes, predicted[name])
            if feature == "tags" and lengths is not None:
                steps = tf.range(tf.shape(answers[name])[1])
                answers[name] = tf.where(steps[None] < lengths[:, None], answers[name], "")
        return answers
