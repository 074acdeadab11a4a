"""Regression on sequences: one real value of a whole series, or at each timestep the values of the next one.

h_1 … h_T = encoder(x_1 … x_T)                  see `components.tasks.encoder`
ŷ = pool(h) V + c, to be (value - mean) / std    [batch]: with the feature `value`, many-to-one
ŷ_t = h_t V + c, to be (a_{t+1} - mean) / std    [batch, timesteps, features]: without it, many-to-many
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from components.metrics.bootstrap import Measured, measure, ratio
from components.metrics.regression import absolute_errors, squared_errors
from components.metrics.report import figures_table
from components.metrics.task_baselines import mean_value
from components.tasks.encoder import Encoder, pool, valid
from components.tasks.encoding import encoder_arguments, without_dropout
from components.tasks.example_task import ExampleModel, Judgement, Spec, Split
from components.tasks.inputs import standardise
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
        value_mean, value_std: Of the feature `value` in the train split, without `forecast`.
        output_dropout: Share of what the readout reads that training drops.
        seed: Of the readout's initial weights and of its dropout.
    """

    task: ClassVar[str] = "regression_sequence"
    inputs: ClassVar[tuple[tuple[str, ...], ...]] = (("array",),)
    targets: ClassVar[tuple[str, ...]] = ()
    signature: ClassVar[str] = "predict"

    def __init__(
        self,
        encoder: Mapping[str, Any],
        forecast: bool = False,
        pooling: str = "last",
        value_mean: float = 0.0,
        value_std: float = 1.0,
        output_dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # numbers are standardised before they are rounded
        self.encoder_arguments, self.forecast, self.pooling = dict(encoder), forecast, pooling
        self.value_mean, self.value_std = value_mean, value_std
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
        if "value" not in spec.features:
            _check_forecast(config, spec.features[source].shape)
        return cls(
            encoder_arguments(config, spec, source, seed),
            forecast="value" not in spec.features,
            pooling=config.pooling,
            value_mean=spec.value_mean,
            value_std=spec.value_std,
            output_dropout=config.dropout.output,
            seed=seed,
            dtype=dtype,
        )

    @classmethod
    def names_in(cls, features: Sequence[str]) -> list[str]:
        return [*cls.input_names(features), *(["value"] if "value" in features else [])]

    def call(self, inputs: Any, lengths: Any = None, training: bool = False) -> Any:
        """Returns, standardised, float32 [batch]; or, to forecast, each next row, [batch, timesteps, features]."""
        encoded = self.encoder(inputs, lengths, training=training)
        read = encoded.sequences if self.forecast else pool(encoded, self.pooling)
        values = ops.cast(self.readout(self.drop_output(read, training=training)), "float32")
        return values if self.forecast else values[:, 0]

    def loss_of(
        self, batch: Any, states: Sequence[Any] = (), training: bool = True, context: int = 0, probes: Any = None
    ) -> Loss:
        """Sums the squared errors: of the value, or of each number of each next row (the mean over a row's).

        In units of the train split's standard deviation: whatever the numbers mean, the loss begins near 1.
        """
        array, lengths = batch.features["array"], batch.lengths.get("array")
        values = self(array, lengths, training=training)
        if not self.forecast:
            value = standardise(batch.features["value"], [self.value_mean], [self.value_std])
            errors = ops.square(values - value)  # [batch]
            return Loss(ops.sum(errors * batch.weights), ops.sum(batch.weights), batch.weights.shape[0], [])
        following = self.encoder.reader.standardised(array)[:, 1:]
        errors = ops.mean(ops.square(values[:, :-1] - following), axis=-1)  # [batch, timesteps - 1]
        timesteps = array.shape[1]
        ends = ops.full((array.shape[0],), timesteps, "int32") if lengths is None else lengths
        weights = ops.cast(valid(ends - 1, timesteps - 1), "float32") * batch.weights[:, None]
        return Loss(ops.sum(errors * weights), ops.sum(weights), max(array.shape[0] * (timesteps - 1), 1), [])

    def predict_batch(self, features: Mapping[str, Any], lengths: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `value` in its own units: float32 [batch], or each next row, [batch, timesteps, features]."""
        values = self(features["array"], lengths.get("array"))
        reader = self.encoder.reader
        mean, std = (reader.mean, reader.std) if self.forecast else (self.value_mean, self.value_std)
        return {"value": values * np.asarray(std, "float32") + np.asarray(mean, "float32")}

    @classmethod
    def judge(cls, split: Split, train: Examples, spec: Spec) -> Judgement:
        """Mean squared and absolute errors: of values, beside the mean value of train; of each next row, beside the
        row before it and the mean row of train."""
        found = split.predictions["value"]
        if "value" in split.examples.features:
            truth = [np.atleast_1d(value) for value in split.examples.scalars("value").astype(np.float64)]
            constant = list(mean_value(train.scalars("value"), len(truth))[:, None])
            baselines = {"mean": _values(_errors(truth, constant))}
            metrics = _measured(_errors(truth, [np.atleast_1d(value) for value in found]))
        else:
            rows = [split.examples.read("array", i).astype(np.float64) for i in range(len(split.examples))]
            truth = [row[1:] for row in rows]
            baselines = {
                "last": _values(_errors(truth, [row[:-1] for row in rows])),
                "mean": _values(_errors(truth, [np.broadcast_to(spec.mean, each.shape) for each in truth])),
            }
            metrics = _measured(_errors(truth, [each[: len(row) - 1] for each, row in zip(found, rows, strict=True)]))
        return Judgement(metrics, baselines, figures_table(metrics, baselines))

    def architecture(self) -> dict[str, Any]:
        own = ("forecast", "pooling", "value_mean", "value_std")
        return {"encoder": without_dropout(self.encoder_arguments), **{name: getattr(self, name) for name in own}}

    def get_config(self) -> dict[str, Any]:
        own = {"encoder": self.encoder_arguments, "output_dropout": self.output_dropout, "seed": self.seed}
        return {**super().get_config(), **self.architecture(), **own}


def _check_forecast(config: ModelConfig, shape: Sequence[int | None] | None) -> None:
    """Refuses what cannot forecast."""
    if len(shape or ()) != 2:
        raise ValueError(
            "Trainer: without the feature `value` the task 'regression_sequence' forecasts the rows of a series, so "
            f"arrays must be [timesteps, features]. Received: arrays of shape {list(shape or ())}. Give the documents "
            "a value, or another model.task."
        )
    if config.pooling != "last":
        raise ValueError(
            "Trainer: a forecast must be made at each timestep, so there is no pooling. Received: "
            f"model.pooling={config.pooling!r}. Leave it out."
        )
    if config.bidirectional or config.encoder not in ("rnn", "positions"):
        raise ValueError(
            "Trainer: a forecast must read the rows before it only. Received: model.encoder="
            f"{config.encoder!r}, model.bidirectional={config.bidirectional}. Set encoder: rnn, bidirectional: false."
        )


def _errors(truth: Sequence[Any], found: Sequence[Any]) -> dict[str, np.ndarray]:
    """Statistics of each example, whose numbers of values differ: name → float64 [examples, 2]."""
    pairs = list(zip(truth, found, strict=True))
    return {
        name: np.concatenate([errors(true[None], np.asarray(each)[None]) for true, each in pairs])
        for name, errors in (("mse", squared_errors), ("mae", absolute_errors))
    }


def _measured(statistics: Mapping[str, np.ndarray]) -> dict[str, Measured]:
    return {name: measure(each, ratio) for name, each in statistics.items()}


def _values(statistics: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(ratio(each.sum(axis=0))) for name, each in statistics.items()}
