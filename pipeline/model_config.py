"""The configuration's section `model`: every key, with its default, its range and what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import pydantic
from pydantic import Field, PositiveInt

from pipeline.section import Section

WRITERS = ("seq2seq", "captioning")
WITH_ENCODER = ("classification", "tagging", "seq2seq", "regression_sequence")
KEEP_POSITIONS = ("rnn", "positions")
# Keys of the section that not every task reads → the tasks that do.
TASKS_THAT_READ: Mapping[str, Sequence[str]] = {
    "tied": ("language_model",),
    "skip_connections": ("language_model",),
    "encoder": WITH_ENCODER,
    "bidirectional": WITH_ENCODER,
    "pooling": ("classification", "seq2seq", "regression_sequence"),
    "image": (*WITH_ENCODER, "captioning"),  # frames, or one image; whether there are any, the Trainer finds out
    "context": WRITERS,
    "stop": WRITERS,
}
# Keys that not every encoder reads → the encoders that do.
ENCODERS_THAT_READ: Mapping[str, Sequence[str]] = {
    "bidirectional": ("rnn",),
    "pooling": KEEP_POSITIONS,
    "activation": ("rnn",),
    "recurrent_initializer": ("rnn",),
    "dropout.recurrent": ("rnn",),
}
READ_BY_WRITERS = ("activation", "recurrent_initializer", "dropout.recurrent")  # whatever the encoder


class DropoutConfig(Section):
    """Shares of the values that training sets to 0, dividing what is left by 1 - share.

    input: Of what each recurrent layer reads, drawn anew at each timestep (Zaremba et al. 2014).
    recurrent: Of h_{t-1} where it meets W, one draw for a whole window (Gal and Ghahramani 2016).
    output: Of what the readout reads, drawn anew at each timestep.
    """

    input: float = Field(default=0.0, ge=0, lt=1)
    recurrent: float = Field(default=0.0, ge=0, lt=1)
    output: float = Field(default=0.0, ge=0, lt=1)


class SpectralRadiusConfig(Section):
    """spectral_radius: Largest modulus of an eigenvalue of a random W."""

    spectral_radius: float = Field(gt=0)


class ModelConfig(Section):
    """The network: `layers` VanillaRNN layers of `units`, then a readout.

    embedding: Width of a table that tokens are looked up in; null reads them one-hot, but a writer always has a table
        (of `units` if not given). For frames: the width of each one's vector, 64 if not given.
    tied: The readout is the transposed table, o_t = h_t Eᵀ + c (Press and Wolf 2017); needs embedding = units.
    skip_connections: Each layer after the first reads x_t, too, beside the output of the layer below (Graves 2013).
    recurrent_initializer: W at first: `orthogonal`; `identity`, for the activation relu (Le et al. 2015); or
        {spectral_radius: r}, random with that largest modulus of an eigenvalue (Jaeger 2001).
    dropout: What training leaves out; evaluation, sampling and the exported model use everything.

    For the tasks that read whole examples:

    encoder: `rnn`; or what it is compared with: `mean`, a network on the mean of the inputs' vectors; `concatenate`,
        one on all of them behind each other, up to the longest example of train; `positions`, the same one at each
        position.
    bidirectional: Each layer reads the example from its end, too, with other weights.
    pooling: What of the encoder's outputs is read for the whole example: the `last`, their `mean`, their `max`.
    image: What makes a vector of an image, of one or of each frame: `cnn`, a small convolutional network, or `linear`.
    context: Where the decoder of seq2seq and captioning gets the context C: as its `initial` state, at `every` step,
        or `both`.
    stop: What ends a text: the symbol `<end>`; an output that says at each step whether it was the last (`stop_head`);
        a length predicted from C (`length_head`). The last two are for seq2seq and captioning.
    """

    task: Literal["language_model", "classification", "tagging", "seq2seq", "captioning", "regression_sequence"] = (
        "language_model"
    )
    units: PositiveInt = 256
    layers: PositiveInt = 2
    activation: Literal["tanh", "relu", "sigmoid", "linear"] = "tanh"
    stop: Literal["end_token", "stop_head", "length_head"] = "end_token"
    embedding: PositiveInt | None = None
    tied: bool = False
    skip_connections: bool = False
    recurrent_initializer: Literal["orthogonal", "identity"] | SpectralRadiusConfig = Field(
        default="orthogonal", description="'orthogonal', 'identity' or {spectral_radius: NUMBER above 0}"
    )
    dropout: DropoutConfig = DropoutConfig()
    encoder: Literal["rnn", "mean", "concatenate", "positions"] = "rnn"
    bidirectional: bool = False
    pooling: Literal["last", "mean", "max"] = "last"
    image: Literal["cnn", "linear"] = "cnn"
    context: Literal["initial", "every", "both"] = "both"

    @pydantic.model_validator(mode="after")
    def _keys_fit_the_task(self) -> ModelConfig:
        for key, tasks in TASKS_THAT_READ.items():
            if self.task not in tasks and self.is_set(key):
                raise ValueError(f"{key} is for {_listed(tasks)}, not for {self.task}. Leave it out")
        if self.task == "tagging" and self.encoder not in KEEP_POSITIONS:
            raise ValueError(
                f"tagging needs an encoder that keeps positions, {_listed(KEEP_POSITIONS)}; received {self.encoder}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _keys_fit_the_encoder(self) -> ModelConfig:
        for key, encoders in ENCODERS_THAT_READ.items():
            by_writer = self.task in WRITERS and key in READ_BY_WRITERS
            if self.encoder not in encoders and self.is_set(key) and not by_writer:
                raise ValueError(
                    f"{key} does nothing in the task {self.task} with the encoder {self.encoder}; it is for "
                    f"{_listed(encoders)}. Leave it out"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _table_fits_the_readout(self) -> ModelConfig:
        if self.tied and self.embedding != self.units:
            width = "null" if self.embedding is None else self.embedding
            raise ValueError(
                f"tied reads out with the transposed table, so embedding must equal units={self.units}; here it is "
                f"{width}. Set both alike, or tied to false"
            )
        return self


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
