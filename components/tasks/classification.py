"""Classification, many-to-one: the class of a whole text or series.

h_1 … h_T = encoder(x_1 … x_T)                  see `components.tasks.encoder`
p = softmax(pool(h) V + c)                       [batch, classes]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from components.metrics.bootstrap import measure, ratio
from components.metrics.classification import class_counts
from components.metrics.task_baselines import majority_class
from components.tasks.class_metrics import class_metrics, class_report, class_values
from components.tasks.encoder import Encoder, pool
from components.tasks.encoding import encoder_arguments, without_dropout
from components.tasks.example_task import ExampleModel, Judgement, Spec, Split
from components.tasks.task import Loss
from components.transform.examples import Examples
from custom_layers import Dropout
from pipeline.config import ModelConfig


@keras.saving.register_keras_serializable(package="components")
class Classifier(ExampleModel):
    """An encoder, a pooling over its timesteps, and a readout.

    Args:
        source: The feature that is read: `tokens` or `array`.
        classes: Number of classes.
        encoder: Arguments of `Encoder`.
        pooling: `last`, `mean` or `max`.
        output_dropout: Share of what the readout reads that training drops.
        seed: Of the readout's initial weights and of its dropout.
    """

    task: ClassVar[str] = "classification"
    inputs: ClassVar[tuple[tuple[str, ...], ...]] = (("tokens", "array"),)
    targets: ClassVar[tuple[str, ...]] = ("label",)
    signature: ClassVar[str] = "classify"
    classes_of: ClassVar[Mapping[str, str]] = {"label": "label"}

    def __init__(
        self,
        source: str,
        classes: int,
        encoder: Mapping[str, Any],
        pooling: str = "last",
        output_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # numbers are standardised before they are rounded
        self.source, self.classes, self.encoder_arguments = source, classes, dict(encoder)
        self.pooling, self.output_dropout, self.seed = pooling, output_dropout, seed
        self.encoder = Encoder(**self.encoder_arguments, dtype=self.dtype_policy, name="encoder")
        self.drop_output = Dropout(output_dropout, seed=seed + 1, dtype=self.dtype_policy)
        self.readout = keras.layers.Dense(
            classes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            dtype=self.dtype_policy,
            name="readout",
        )
        self.readout.build((None, self.encoder.width))
        self.built = True

    @classmethod
    def build_for(cls, config: ModelConfig, spec: Spec, seed: int = 0, dtype: Any = None) -> Classifier:
        (source,) = cls.input_names(list(spec.features))
        return cls(
            source,
            len(spec.classes["label"]),
            encoder_arguments(config, spec, source, seed),
            pooling=config.pooling,
            output_dropout=config.dropout.output,
            seed=seed,
            dtype=dtype,
        )

    def call(self, inputs: Any, lengths: Any = None, training: bool = False) -> Any:
        """Returns logits, float32 [batch, classes].

        Args:
            inputs: int [batch, timesteps] or numbers [batch, timesteps, …].
            lengths: int [batch]; None where all timesteps are valid.
            training: Whether dropout is on.
        """
        pooled = pool(self.encoder(inputs, lengths, training=training), self.pooling)
        return ops.cast(self.readout(self.drop_output(pooled, training=training)), "float32")

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Sums -ln p of the right class of each example, in nats."""
        logits = self(batch.features[self.source], batch.lengths.get(self.source), training=training)
        nats = ops.sparse_categorical_crossentropy(batch.features["label"], logits, from_logits=True)  # [batch]
        return Loss(ops.sum(nats * batch.weights), ops.sum(batch.weights), batch.weights.shape[0], [])

    def predict_batch(self, features: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `probabilities` float32 [batch, classes] and the `label` of the highest, int32 [batch]."""
        probabilities = ops.softmax(self(features[self.source], lengths.get(self.source)), axis=-1)
        return {"label": ops.cast(ops.argmax(probabilities, axis=-1), "int32"), "probabilities": probabilities}

    @classmethod
    def judge(cls, split: Split, train: Examples, spec: Spec) -> Judgement:
        """Accuracy, macro-F1 and nats, beside always answering the most frequent class of train."""
        names = spec.classes["label"]
        truth = split.examples.scalars("label").astype(np.int64)
        found = np.asarray(split.predictions["label"], np.int64)
        p = np.asarray(split.predictions["probabilities"])[np.arange(len(truth)), truth]
        nats = -np.log(np.maximum(p, np.finfo(np.float32).tiny))
        metrics = {
            **class_metrics(class_counts(truth, found, len(names))),
            "nats": measure(np.stack([nats, np.ones(len(nats))], axis=1), ratio),
        }
        majority = majority_class(train.scalars("label"), len(truth))
        baselines = {"majority": class_values(class_counts(truth, majority, len(names)))}
        return Judgement(metrics, baselines, class_report(metrics, baselines, truth, found, names))

    def architecture(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "classes": self.classes,
            "encoder": without_dropout(self.encoder_arguments),
            "pooling": self.pooling,
        }

    def get_config(self) -> dict[str, Any]:
        own = {"encoder": self.encoder_arguments, "output_dropout": self.output_dropout, "seed": self.seed}
        return {**super().get_config(), **self.architecture(), **own}
