"""What encoders read at each timestep: vectors of tokens, of the rows of a series, of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from custom_layers import TokenEmbedding


def standardise(numbers: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """Returns (a - mean) / std, float32 in the shape of the numbers, along whose last axis mean and std broadcast."""
    return (ops.cast(numbers, "float32") - np.asarray(mean, "float32")) / np.asarray(std, "float32")


@keras.saving.register_keras_serializable(package="components")
class ImageEncoder(keras.layers.Layer):
    """An image to a vector: two convolutions of stride 2 and a dense layer, or a dense layer alone.

    Args:
        width: Size of the vector.
        kind: `cnn` or `linear`.
        seed: Of the initial weights.
    """

    def __init__(self, width: int, kind: str = "cnn", seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.kind, self.seed = width, kind, seed

        def initializer(number: int) -> Any:
            return keras.initializers.GlorotUniform(seed=seed + number)

        self.convolutions = [
            keras.layers.Conv2D(
                filters,
                3,
                strides=2,
                padding="same",
                activation="relu",
                kernel_initializer=initializer(i),
                dtype=self.dtype_policy,
            )
            for i, filters in enumerate((16, 32) if kind == "cnn" else ())
        ]
        self.dense = keras.layers.Dense(
            width,
            activation="tanh" if kind == "cnn" else None,
            kernel_initializer=initializer(2),
            dtype=self.dtype_policy,
        )

    def build(self, shape: Any) -> None:
        """Creates the weights for images [batch, height, width, channels]."""
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.dense.build((None, int(np.prod(shape[1:]))))

    def call(self, images: Any) -> Any:
        """Returns float [batch, width]."""
        for convolution in self.convolutions:
            images = convolution(images)
        return self.dense(ops.reshape(images, (-1, int(np.prod(images.shape[1:])))))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width, "kind": self.kind, "seed": self.seed}


@keras.saving.register_keras_serializable(package="components")
class Inputs(keras.layers.Layer):
    """What an encoder reads: x_t of tokens, of a series, or of frames.

    Args:
        vocabulary_size: Number of token ids; None for arrays.
        embedding: Width of the tokens' table, or of each frame's vector; None reads tokens one-hot.
        shape: Of an example's array without its timesteps: () for none, (features,) or (height, width, channels).
        mean, std: What arrays are standardised with: one number for each feature, or one for all of an image.
        image: `cnn` or `linear`, for frames.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        vocabulary_size: int | None,
        embedding: int | None,
        shape: Sequence[int] = (),
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        image: str = "cnn",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)  # numbers are standardised before they are rounded
        self.vocabulary_size, self.embedding, self.shape = vocabulary_size, embedding, tuple(shape)
        self.mean, self.std, self.image, self.seed = list(mean), list(std), image, seed
        self.table: Any = None
        self.frames: Any = None
        self.width: int = embedding or vocabulary_size or 0
        if vocabulary_size is not None and embedding is not None:
            self.table = TokenEmbedding(vocabulary_size, embedding, seed=seed, dtype=self.dtype_policy, name="table")
            self.table.build()
        elif len(self.shape) == 3:
            self.width = embedding or 64
            self.frames = ImageEncoder(self.width, image, seed, dtype=self.dtype_policy, name="frames")
            self.frames.build((None, *self.shape))
        elif vocabulary_size is None:
            self.width = int(np.prod(self.shape))
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Returns x_t, float [batch, timesteps, width], of int [batch, timesteps] or numbers [batch, timesteps, …]."""
        if self.table is not None:
            return self.table(inputs)
        if self.vocabulary_size is not None:
            return ops.one_hot(inputs, self.vocabulary_size, dtype=self.compute_dtype)
        numbers = ops.cast(self.standardised(inputs), self.compute_dtype)
        batch, timesteps = ops.shape(numbers)[:2]
        if self.frames is None:
            return ops.reshape(numbers, (batch, timesteps, self.width))  # of an image: row by row
        vectors = self.frames(ops.reshape(numbers, (-1, *self.shape)))  # [batch · timesteps, width]
        return ops.reshape(vectors, (batch, timesteps, self.width))

    def standardised(self, inputs: Any) -> Any:
        """Returns (a - mean) / std, float32 in the shape of the numbers."""
        return standardise(inputs, self.mean, self.std)

    def get_config(self) -> dict[str, Any]:
        own = ("vocabulary_size", "embedding", "shape", "mean", "std", "image", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}
