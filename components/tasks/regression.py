"""Regression on sequences: one real value of a whole series, or at each timestep the values of the next one.

h_1 … h_T = encoder(x_1 … x_T)                  see `components.tasks.encoder`
ŷ = pool(h) V + c                                [batch]: with the feature `value`, many-to-one
ŷ_t = h_t V + c, to be (a_{t+1} - mean) / std    [batch, timesteps, features]: without it, many-to-many
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from components.metrics.measured import Measured
from components.metrics.table import metrics_table
from components.metrics.values import value_metrics
from components.tasks.encoder import Encoder, pool, valid
from components.tasks.encoding import encoder_arguments, without_dropout
from components.tasks.example_task import ExampleModel, Judgement, Spec, Split
from components.tasks.task import Loss
from components.transform.examples import Examples
from custom_layers import Dropout
from pipeline.config import ModelConfig


@keras.saving.register_keras_serializable(package="components")
class SequenceRegressor(ExampleModel):
    """An encoder and a linear readout; the loss is the squared error.

    Args:
        encoder: Arguments of `Encoder`, for arrays.
        forecast: Predicts each next row of the array; else the feature `value`, from all rows.
        pooling: `last`, `mean` or `max`, without `forecast`.
        output_dropout: Share of what the readout reads that training drops.
        seed: Of the readout's initial weights and of its dropout.
    """

    task: ClassVar[str] = "regression_sequence"
    inputs: ClassVar[tuple[tuple[str, ...], ...]] = (("array",),)
    targets: ClassVar[tuple[str, ...]] = ()
    signature: ClassVar[str] = "predict"
    outputs: ClassVar[Mapping[str, str]] = {"value": ""}

    def __init__(
        self,
        encoder: Mapping[str, Any],
        forecast: bool = False,
        pooling: str = "last",
        output_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder_arguments, self.forecast, self.pooling = dict(encoder), forecast, pooling
        self.output_dropout, self.seed = output_dropout, seed
        self.encoder = Encoder(**self.encoder_arguments, dtype=self.dtype_policy, name="encoder")
        self.drop_output = Dropout(output_dropout, seed=seed + 1, dtype=self.dtype_policy)
        self.readout = keras.layers.Dense(
            self.encoder.reader.width if forecast else 1,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
            dtype=self.dtype_policy,
            name="readout",
        )
        self.readout.build((None, self.encoder.width))
        self.built = True

    @classmethod
    def build_for(cls, config: ModelConfig, spec: Spec, seed: int = 0, dtype: Any = None) -> SequenceRegressor:
        (source,) = cls.input_names(list(spec.features))
        return cls(
            encoder_arguments(config, spec, source, seed),
            forecast="value" not in spec.features,
            pooling=config.pooling,
            output_dropout=config.dropout.output,
            seed=seed,
            dtype=dtype,
        )

    @classmethod
    def names_in(cls, features: Sequence[str]) -> list[str]:
        return [*cls.input_names(features), *(["value"] if "value" in features else [])]

    def call(self, inputs: Any, lengths: Any = None, training: bool = False) -> Any:
        """Returns float32 [batch]; or, to forecast, [batch, timesteps, features]: each next row, standardised."""
        encoded = self.encoder(inputs, lengths, training=training)
        read = encoded.sequences if self.forecast else pool(encoded, self.pooling)
        values = ops.cast(self.readout(self.drop_output(read, training=training)), "float32")
        return values if self.forecast else values[:, 0]

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Sums the squared errors: of the value, or of each number of each next row (the mean over a row's)."""
        array, lengths = batch.features["array"], batch.lengths.get("array")
        values = self(array, lengths, training=training)
        if not self.forecast:
            errors = ops.square(values - batch.features["value"])  # [batch]
            return Loss(ops.sum(errors * batch.weights), ops.sum(batch.weights), batch.weights.shape[0], [])
        following = self.encoder.reader(array)[:, 1:]  # standardised
        errors = ops.mean(ops.square(values[:, :-1] - following), axis=-1)  # [batch, timesteps - 1]
        timesteps = array.shape[1]
        ends = ops.full((array.shape[0],), timesteps, "int32") if lengths is None else lengths
        weights = ops.cast(valid(ends - 1, timesteps - 1), "float32") * batch.weights[:, None]
        return Loss(ops.sum(errors * weights), ops.sum(weights), array.shape[0] * (timesteps - 1), [])

    def predict_batch(self, features: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `value`: float32 [batch], or each next row in its own units, [batch, timesteps, features]."""
        values = self(features["array"], lengths.get("array"))
        if self.forecast:
            reader = self.encoder.reader
            values = values * np.asarray(reader.std, "float32") + np.asarray(reader.mean, "float32")
        return {"value": values}

    @classmethod
    def judge(cls, split: Split, train: Examples, spec: Spec) -> Judgement:
        """Mean squared and absolute errors: of values, beside the mean value of train; of each next row, beside the
        row before it and the mean row of train."""
        found = split.predictions["value"]
        if "value" in split.examples.features:
            truth = split.examples.scalars("value").astype(np.float64)
            mean = np.full(len(truth), train.scalars("value").astype(np.float64).mean())
            metrics, constant = (_errors([p - t for p, t in zip(each, truth, strict=True)]) for each in (found, mean))
            return Judgement(metrics, {"mean": constant}, metrics_table(metrics, {"mean": constant}))
        rows = [split.examples.read("array", i).astype(np.float64) for i in range(len(split.examples))]
        metrics = _errors([each[: len(row) - 1] - row[1:] for each, row in zip(found, rows, strict=True)])
        baselines = {
            "last": _errors([row[:-1] - row[1:] for row in rows]),
            "mean": _errors([np.asarray(spec.mean) - row[1:] for row in rows]),
        }
        return Judgement(metrics, baselines, metrics_table(metrics, baselines))

    def architecture(self) -> dict[str, Any]:
        encoder = without_dropout(self.encoder_arguments)
        return {"encoder": encoder, "forecast": self.forecast, "pooling": self.pooling}

    def get_config(self) -> dict[str, Any]:
        own = {"encoder": self.encoder_arguments, "output_dropout": self.output_dropout, "seed": self.seed}
        return {**super().get_config(), **self.architecture(), **own}


def _errors(errors: Sequence[Any]) -> dict[str, Measured]:
    squared = np.array([np.square(error).sum() for error in errors])
    absolute = np.array([np.abs(error).sum() for error in errors])
    return value_metrics(squared, absolute, np.array([np.size(error) for error in errors]))
