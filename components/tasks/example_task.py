"""Tasks whose records are examples: what such a task is, and what it knows of the data.

A task is a file with one class, an `ExampleModel`: which features it reads, the model, its loss, what it predicts, how
predictions are judged, and the signature it is served by. `components.tasks.catalogue` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from components.metrics.bootstrap import Measured
from components.tasks.task import TaskModel
from components.transform import tokenizers
from components.transform.examples import ExampleBatch, Examples
from components.transform.graph import TARGET, load_classes, load_features, load_scaling
from components.transform.manifest import FeatureInfo
from components.transform.tokenizers import Tokenizer
from pipeline.config import ModelConfig


class ExampleInputs(NamedTuple):
    """A batch of examples as a model sees it.

    Attributes:
        features: Name → array with a row for each example, see `components.transform.examples.ExampleBatch`.
        lengths: Name of a ragged feature → its length in each row, int32 [batch].
        weights: 0 for rows that only fill up the batch, else 1: float32 [batch].
    """

    features: dict[str, Any]
    lengths: dict[str, Any]
    weights: Any

    @classmethod
    def of(cls, batch: ExampleBatch) -> Self:
        """What a model sees of a batch that holds what it reads and learns."""
        return cls(batch.features, batch.lengths, batch.weights)


@dataclass(frozen=True)
class Spec:
    """What a model has to know of the data that it is built for.

    Attributes:
        features: Name → what Transform says of it.
        tokenizers: Of the features `tokens` and `target`, as far as there are any.
        classes: Names of the classes of `label` and `tags`, by id.
        mean, std: What arrays are standardised with; [0] and [1] without any.
        longest: Items of the longest example of the train split, of each feature; known while a model is built.
        value_mean, value_std: Of the feature `value` in the train split; known while a model is built.
    """

    features: Mapping[str, FeatureInfo]
    tokenizers: Mapping[str, Tokenizer] = field(default_factory=dict)
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    longest: Mapping[str, int] = field(default_factory=dict)
    value_mean: float = 0.0
    value_std: float = 1.0

    @classmethod
    def read(cls, graph: Path) -> Spec:
        """Reads what Transform wrote into a `TransformGraph`."""
        features = load_features(graph)
        folders = {"tokens": graph, "target": graph / TARGET}
        mean, std = (scale.tolist() for scale in load_scaling(graph)) if "array" in features else ([0.0], [1.0])
        names: tuple[Literal["label", "tags"], ...] = ("label", "tags")
        return cls(
            features=features,
            tokenizers={name: tokenizers.load(folder) for name, folder in folders.items() if name in features},
            classes={name: load_classes(graph, name) for name in names if name in features},
            mean=mean,
            std=std,
        )


class Judgement(NamedTuple):
    """How good predictions are.

    Attributes:
        metrics: Name → value and 95 % interval.
        baselines: Name of a baseline → the same metrics, as far as it has them.
        report: Tables and examples for people; may be empty.
        notes: What else has to be known of the metrics to compare them with others', by name.
    """

    metrics: Mapping[str, Measured]
    baselines: Mapping[str, Mapping[str, float]]
    report: str
    notes: Mapping[str, str] = MappingProxyType({})


class Split(NamedTuple):
    """A split's examples beside what a model predicts of them, for judging.

    Attributes:
        examples: The features.
        predictions: Name → a list with what was `kept` of each example, in the order of the split.
    """

    examples: Examples
    predictions: Mapping[str, Any]


class ExampleModel(TaskModel):
    """A model of a task whose records are examples.

    Attributes:
        inputs: Features that are read, of each tuple the first one that there is.
        targets: Features that are learnt.
        signature: Name under which it is served.
        aliases: Other names of the same.
        classes_of: Which predictions are ids of classes: name → feature whose classes they are; none by default.
    """

    inputs: ClassVar[tuple[tuple[str, ...], ...]]
    targets: ClassVar[tuple[str, ...]]
    signature: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    classes_of: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def build_for(cls, config: ModelConfig, spec: Spec, seed: int = 0, dtype: Any = None) -> Self:
        """The model that a configuration describes, with its initial weights, for the data of `spec`."""
        raise NotImplementedError(f"{cls.__name__} must override build_for().")

    def predict_batch(self, features: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Predicts from the input features; traceable, and what is served. The other features need not be there."""
        raise NotImplementedError(f"{type(self).__name__} must override predict_batch().")

    @classmethod
    def kept(cls, predicted: dict[str, np.ndarray], numbers: np.ndarray, examples: Examples) -> Mapping[str, Any]:
        """What judging needs of a batch's predictions: they are held for a whole split. Everything, by default.

        Args:
            predicted: Name → array with a row for each example.
            numbers: Of the examples, int64 [rows].
            examples: Of the split.

        Returns:
            Name → an array or a list with an entry for each example.
        """
        return predicted

    @classmethod
    def judge(cls, split: Split, train: Examples, spec: Spec) -> Judgement:
        """Compares predictions with the truth, and with what can be had without a model.

        Args:
            split: Of eval or test.
            train: What baselines count in.
            spec: Of the data.
        """
        raise NotImplementedError(f"{cls.__name__} must override judge().")

    @classmethod
    def input_names(cls, features: Sequence[str]) -> list[str]:
        """Which of the features there are the model reads.

        Raises:
            ValueError: One is missing.
        """
        chosen: list[str] = []
        for names in (*cls.inputs, *((name,) for name in cls.targets)):
            found = next((name for name in names if name in features), None)
            if found is None:
                raise ValueError(
                    f"Trainer: task {cls.task!r} must have the feature {' or '.join(map(repr, names))}. Received: "
                    f"examples with {', '.join(features) or 'none'}. Choose another model.task, or a source whose "
                    "records have it (example_gen.fields)."
                )
            if len(chosen) < len(cls.inputs):
                chosen.append(found)
        return chosen

    @classmethod
    def names_in(cls, features: Sequence[str]) -> list[str]:
        """Which of the features there are the model reads and learns; as `input_names`."""
        return [*cls.input_names(features), *cls.targets]


def predictions_of(
    predict: Any, examples: Examples, batch_size: int, inputs: Sequence[str]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields the examples' numbers and what is predicted of them, batch by batch.

    Args:
        predict: Compiled `ExampleModel.predict_batch`.
        examples: Of a split.
        batch_size: Examples at a time.
        inputs: Features to be read.
    """
    for batch in examples.in_order(batch_size, features=inputs):
        real = batch.examples >= 0
        predicted = {name: np.asarray(value) for name, value in predict(batch.features, batch.lengths).items()}
        yield batch.examples[real], {name: value[real] for name, value in predicted.items()}
