"""Captioning, one-to-many: a text for an image, or for a class (a name for a language).

C = image network((a - mean) / std), or tanh(one-hot(label) A + b)
y_1 … y_τ written from C                         see `components.tasks.writer`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
from keras import ops

from components.tasks.encoding import check_no_image, without_dropout
from components.tasks.example_task import Spec
from components.tasks.generating import GeneratingModel, writer_arguments
from components.tasks.inputs import ImageEncoder, standardise
from components.tasks.writer import Writer
from pipeline.config import ModelConfig


@keras.saving.register_keras_serializable(package="components")
class Captioner(GeneratingModel):
    """A vector of an image or a class, which is the context of a writer.

    Args:
        source: The feature that is read: `array`, an image, or `label`.
        width: Size of the context.
        writer: Arguments of `Writer` but for the context's width.
        classes: Number of classes, for `label`.
        shape: Of an image, (height, width, channels).
        mean, std: What images are standardised with.
        image: `cnn` or `linear`.
        seed: Of the initial weights.

    Source: Vinyals et al. (2015), Show and Tell; Karpathy and Fei-Fei (2015).
    """

    task: ClassVar[str] = "captioning"
    inputs: ClassVar[tuple[tuple[str, ...], ...]] = (("array", "label"),)
    signature: ClassVar[str] = "caption"

    def __init__(
        self,
        source: str,
        width: int,
        writer: Mapping[str, Any],
        classes: int | None = None,
        shape: Sequence[int] = (),
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        image: str = "cnn",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # numbers are standardised before they are rounded
        self.source, self.width, self.writer_arguments = source, width, dict(writer)
        self.classes, self.shape, self.image, self.seed = classes, tuple(shape), image, seed
        self.mean, self.std = list(mean), list(std)
        self.reader: Any
        if source == "label":
            self.reader = keras.layers.Dense(
                width,
                activation="tanh",
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                dtype=self.dtype_policy,
                name="label",
            )
            self.reader.build((None, classes))
        else:
            self.reader = ImageEncoder(width, image, seed, dtype=self.dtype_policy, name="image")
            self.reader.build((None, *self.shape))
        self.writer = Writer(**self.writer_arguments, context_width=width, dtype=self.dtype_policy, name="writer")
        self.built = True

    @classmethod
    def build_for(cls, config: ModelConfig, spec: Spec, seed: int = 0, dtype: Any = None) -> Captioner:
        (source,) = cls.input_names(list(spec.features))
        is_label = source == "label"
        shape = [] if is_label else list(spec.features["array"].shape or ())
        if not is_label and (len(shape) != 3 or None in shape):
            raise ValueError(
                "Trainer: the task 'captioning' must have images, arrays of one shape [height, width, channels], or "
                f"the feature 'label'. Received: arrays of shape {shape}. The task seq2seq reads series."
            )
        if is_label:
            check_no_image(config, source)
        return cls(
            source,
            config.units,
            writer_arguments(config, spec, seed + 1000),
            classes=len(spec.classes["label"]) if is_label else None,
            shape=[size for size in shape if size],
            mean=list(spec.mean),
            std=list(spec.std),
            image=config.image,
            seed=seed,
            dtype=dtype,
        )

    def context_of(self, features: Mapping[str, Any], lengths: Mapping[str, Any], training: bool = False) -> Any:
        if self.source == "label":
            return self.reader(ops.one_hot(features["label"], self.classes, dtype=self.compute_dtype))
        images = standardise(features["array"], self.mean, self.std)
        return self.reader(ops.cast(images, self.compute_dtype))

    def architecture(self) -> dict[str, Any]:
        own = ("source", "width", "classes", "mean", "std", "image")
        named = {name: getattr(self, name) for name in own}
        return {**named, "shape": list(self.shape), "writer": without_dropout(self.writer_arguments)}

    def get_config(self) -> dict[str, Any]:
        own = {"writer": self.writer_arguments, "seed": self.seed}
        return {**super().get_config(), **self.architecture(), **own}
