"""Tagging, aligned many-to-many: a class for each word, or for each frame.

h_1 … h_T = encoder(x_1 … x_T)                  see `components.tasks.encoder`
p_t = softmax(h_t V + c)                         [batch, timesteps, classes]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from components.metrics.bootstrap import measure, ratio
from components.metrics.classification import class_counts
from components.metrics.task_baselines import majority_class, most_frequent_tags
from components.tasks.class_metrics import class_metrics, class_report, class_values
from components.tasks.encoder import Encoder, valid
from components.tasks.encoding import encoder_arguments, without_dropout
from components.tasks.example_task import ExampleModel, Judgement, Spec, Split
from components.tasks.task import Loss
from components.transform.examples import Examples
from custom_layers import Dropout
from pipeline.config import ModelConfig


@keras.saving.register_keras_serializable(package="components")
class Tagger(ExampleModel):
    """An encoder and a readout at each timestep.

    Args:
        source: The feature that is read: `tokens` or `array`.
        classes: Number of classes.
        encoder: Arguments of `Encoder`; its kind keeps positions.
        output_dropout: Share of what the readout reads that training drops.
        seed: Of the readout's initial weights and of its dropout.
    """

    task: ClassVar[str] = "tagging"
    inputs: ClassVar[tuple[tuple[str, ...], ...]] = (("tokens", "array"),)
    targets: ClassVar[tuple[str, ...]] = ("tags",)
    signature: ClassVar[str] = "tag"
    classes_of: ClassVar[Mapping[str, str]] = {"tags": "tags"}

    def __init__(
        self,
        source: str,
        classes: int,
        encoder: Mapping[str, Any],
        output_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # numbers are standardised before they are rounded
        self.source, self.classes, self.encoder_arguments = source, classes, dict(encoder)
        self.output_dropout, self.seed = output_dropout, seed
        self.encoder = Encoder(**self.encoder_arguments, dtype=self.dtype_policy, name="encoder")
        self.drop_output = Dropout(output_dropout, seed=seed + 1, dtype=self.dtype_policy)
        self.readout = keras.layers.Dense(
            classes,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            dtype=self.dtype_policy,
            name="readout",
        )
        self.readout.build((None, None, self.encoder.width))
        self.built = True

    @classmethod
    def build_for(cls, config: ModelConfig, spec: Spec, seed: int = 0, dtype: Any = None) -> Tagger:
        (source,) = cls.input_names(list(spec.features))
        if source == "tokens" and spec.tokenizers["tokens"].kind != "word":
            raise ValueError(
                "Trainer: tags are for words, so the tokenizer must be word. Received: transform.tokenizer="
                f"{spec.tokenizers['tokens'].kind!r}. Set transform.tokenizer: word."
            )
        return cls(
            source,
            len(spec.classes["tags"]),
            encoder_arguments(config, spec, source, seed),
            output_dropout=config.dropout.output,
            seed=seed,
            dtype=dtype,
        )

    def call(self, inputs: Any, lengths: Any = None, training: bool = False) -> Any:
        """Returns logits, float32 [batch, timesteps, classes]; arguments as in `Classifier.call`."""
        encoded = self.encoder(inputs, lengths, training=training)
        return ops.cast(self.readout(self.drop_output(encoded.sequences, training=training)), "float32")

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Sums -ln p of the right class at each timestep of each example, in nats; padding has no weight."""
        tags, lengths = batch.features["tags"], batch.lengths["tags"]
        logits = self(batch.features[self.source], batch.lengths.get(self.source), training=training)
        nats = ops.sparse_categorical_crossentropy(tags, logits, from_logits=True)  # [batch, timesteps]
        weights = ops.cast(valid(lengths, tags.shape[1]), "float32") * batch.weights[:, None]
        return Loss(ops.sum(nats * weights), ops.sum(weights), math.prod(tags.shape), [])

    def predict_batch(self, features: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `probabilities` float32 [batch, timesteps, classes], and the `tags` of the highest ones, int32."""
        probabilities = ops.softmax(self(features[self.source], lengths.get(self.source)), axis=-1)
        return {"tags": ops.cast(ops.argmax(probabilities, axis=-1), "int32"), "probabilities": probabilities}

    @classmethod
    def kept(cls, predicted: dict[str, np.ndarray], numbers: np.ndarray, examples: Examples) -> dict[str, list[Any]]:
        """The tags of each example's own timesteps, and the sum of -ln p of its right ones."""
        truth = [examples.read("tags", number).astype(np.int64) for number in numbers.tolist()]
        p = [row[np.arange(len(tags)), tags] for row, tags in zip(predicted["probabilities"], truth, strict=True)]
        return {
            "tags": [row[: len(tags)].copy() for row, tags in zip(predicted["tags"], truth, strict=True)],
            "nats": [float(-np.log(np.maximum(each, np.finfo(np.float32).tiny)).sum()) for each in p],
        }

    @classmethod
    def judge(cls, split: Split, train: Examples, spec: Spec) -> Judgement:
        """Accuracy and macro-F1 of the timesteps, and nats, beside what is most frequent in train.

        The baseline is each word's most frequent tag (for words never seen, that of all words), or of frames the most
        frequent one.
        """
        names, count = spec.classes["tags"], len(split.examples)
        truth = [split.examples.read("tags", i).astype(np.int64) for i in range(count)]
        lengths = np.array([len(tags) for tags in truth])
        found, nats = np.concatenate(split.predictions["tags"]), split.predictions["nats"]
        flat = np.concatenate(truth)
        metrics = {
            **class_metrics(class_counts(flat, found, len(names), lengths)),
            "nats": measure(np.stack([nats, lengths], axis=1), ratio),
        }
        frequent = _most_frequent(split.examples, train, len(flat))
        baselines = {"most frequent": class_values(class_counts(flat, frequent, len(names), lengths))}
        return Judgement(metrics, baselines, class_report(metrics, baselines, flat, found, names))

    def architecture(self) -> dict[str, Any]:
        return {"source": self.source, "classes": self.classes, "encoder": without_dropout(self.encoder_arguments)}

    def get_config(self) -> dict[str, Any]:
        own = {"encoder": self.encoder_arguments, "output_dropout": self.output_dropout, "seed": self.seed}
        return {**super().get_config(), **self.architecture(), **own}


def _most_frequent(examples: Examples, train: Examples, count: int) -> np.ndarray:
    """The tag that train has most often for each word of the examples, or for every frame: int64 [count]."""
    tags = np.concatenate([train.read("tags", i) for i in range(len(train))])
    if "tokens" not in train.features:
        return majority_class(tags, count)
    words, known = (
        np.concatenate([split.read("tokens", i) for i in range(len(split))]).tolist() for split in (examples, train)
    )
    return most_frequent_tags(known, tags, words)
