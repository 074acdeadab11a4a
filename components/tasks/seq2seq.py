"""Sequence to sequence, many-to-many of different lengths: translation, pronunciation, answers to questions.

C = pool(encoder(x_1 … x_T))                     see `components.tasks.encoder`
y_1 … y_τ written from C                         see `components.tasks.writer`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras

from components.tasks.encoder import Encoder, pool
from components.tasks.encoding import encoder_arguments, without_dropout
from components.tasks.example_task import Spec
from components.tasks.generating import GeneratingModel, writer_arguments
from components.tasks.writer import Writer
from pipeline.config import ModelConfig


@keras.saving.register_keras_serializable(package="components")
class Seq2Seq(GeneratingModel):
    """An encoder, whose summary is the context of a writer.

    Args:
        source: The feature that is read: `tokens` or `array`.
        encoder: Arguments of `Encoder`.
        writer: Arguments of `Writer` but for the context's width.
        pooling: What of the encoder's outputs is the context: `last`, `mean` or `max`.

    Source: Cho et al. (2014); Sutskever, Vinyals and Le (2014).
    """

    task: ClassVar[str] = "seq2seq"
    inputs: ClassVar[tuple[tuple[str, ...], ...]] = (("tokens", "array"),)
    signature: ClassVar[str] = "translate"
    aliases: ClassVar[tuple[str, ...]] = ("answer",)  # to a question

    def __init__(
        self, source: str, encoder: Mapping[str, Any], writer: Mapping[str, Any], pooling: str = "last", **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # numbers are standardised before they are rounded
        self.source, self.pooling = source, pooling
        self.encoder_arguments, self.writer_arguments = dict(encoder), dict(writer)
        self.encoder = Encoder(**self.encoder_arguments, dtype=self.dtype_policy, name="encoder")
        self.writer = Writer(
            **self.writer_arguments, context_width=self.encoder.width, dtype=self.dtype_policy, name="writer"
        )
        self.built = True

    @classmethod
    def build_for(cls, config: ModelConfig, spec: Spec, seed: int = 0, dtype: Any = None) -> Seq2Seq:
        (source,) = cls.input_names(list(spec.features))
        encoder = encoder_arguments(config, spec, source, seed)
        return cls(source, encoder, writer_arguments(config, spec, seed + 1000), config.pooling, dtype=dtype)

    def context_of(self, features: Mapping[str, Any], lengths: Mapping[str, Any], training: bool = False) -> Any:
        encoded = self.encoder(features[self.source], lengths.get(self.source), training=training)
        return pool(encoded, self.pooling)

    def architecture(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "encoder": without_dropout(self.encoder_arguments),
            "writer": without_dropout(self.writer_arguments),
            "pooling": self.pooling,
        }

    def get_config(self) -> dict[str, Any]:
        own = {"encoder": self.encoder_arguments, "writer": self.writer_arguments}
        return {**super().get_config(), **self.architecture(), **own}
