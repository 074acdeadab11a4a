"""The sections `beam` and `transform`: who does the work, and how documents become numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pydantic
from pydantic import PositiveInt

from pipeline.section import Section


class BeamConfig(Section):
    """Apache Beam's pipeline options under Beam's own names; any of them may be given, here are those with a default.

    runner: `DirectRunner` (or `FnApiRunner`, its other name here) runs on this machine.
    """

    model_config = pydantic.ConfigDict(extra="allow")

    runner: Literal["DirectRunner", "FnApiRunner", "PortableRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"] = (
        "DirectRunner"
    )
    direct_num_workers: PositiveInt = 1
    direct_running_mode: Literal["in_memory", "multi_threading", "multi_processing"] = "in_memory"


class TokenizerConfig(Section):
    """How a text becomes tokens.

    tokenizer: `char` (Unicode code points), `byte` (of UTF-8), `word` (what stands between blanks, and newlines) or
        `bpe` (byte pairs, learnt from the train split).
    normalization, lowercase: Done to the text first, in that order.
    min_count: A character or word seen fewer times in the train split becomes `<unk>`.
    vocabulary_size: Number of ids, the specials among them: at most for `word`, about for `bpe` (4096 if not given).
    """

    tokenizer: Literal["char", "byte", "word", "bpe"] = "char"
    normalization: Literal["none", "NFC", "NFKC"] = "none"
    lowercase: bool = False
    min_count: PositiveInt = 1
    vocabulary_size: PositiveInt | None = None

    @pydantic.model_validator(mode="after")
    def _keys_fit_the_tokenizer(self) -> TokenizerConfig:
        if self.min_count > 1 and self.tokenizer not in ("char", "word"):
            raise ValueError(f"min_count is for the tokenizers char and word; {self.tokenizer} knows every text")
        if self.vocabulary_size is not None and self.tokenizer not in ("word", "bpe"):
            raise ValueError(f"vocabulary_size is for the tokenizers word and bpe, not for {self.tokenizer}")
        return self

    def check_specials(self, specials: Sequence[str], prefix: str = "") -> None:
        """Checks that the keys agree with the specials.

        Args:
            specials: Their names.
            prefix: Stands before a key's name in the message.

        Raises:
            ValueError: They do not.
        """
        if self.min_count > 1 and "unk" not in specials:
            raise ValueError(
                f"{prefix}min_count above 1 needs the special `unk` for the characters or words it removes"
            )
        least = len(specials) + (256 if self.tokenizer == "bpe" else 1)
        if self.vocabulary_size is not None and self.vocabulary_size < least:
            smallest = f"specials and the smallest {self.tokenizer} set"
            raise ValueError(f"{prefix}vocabulary_size must be at least {least}: {smallest}")
        if self.tokenizer == "word" and self.vocabulary_size is not None and "unk" not in specials:
            raise ValueError(f"{prefix}vocabulary_size needs the special `unk` for the words it removes")

    @property
    def bpe_size(self) -> int:
        """Number of ids that the tokenizer `bpe` aims at."""
        return 4096 if self.vocabulary_size is None else self.vocabulary_size


class TransformConfig(TokenizerConfig):
    """How documents become numbers; the tokenizer's keys are for their text.

    records: `lanes`: the text as tokens, each of the `lanes` streams of the train split cut into windows of
        `window_length` steps; `examples`: each document is one record, with all its features.
    target: The tokenizer's keys for the feature `target`; null: as for the text.
    specials: Tokens that stand for no text; both tokenizers have them.
    """

    target: TokenizerConfig | None = None
    records: Literal["lanes", "examples"] = "lanes"
    window_length: PositiveInt = 64
    lanes: PositiveInt = 64
    specials: tuple[Literal["end", "unk", "pad"], ...] = ("end", "unk", "pad")
    beam: BeamConfig | None = None

    @pydantic.field_validator("specials", mode="before")
    @classmethod
    def _tuple(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @pydantic.model_validator(mode="after")
    def _specials_fit(self) -> TransformConfig:
        if "end" not in self.specials or len(set(self.specials)) != len(self.specials):
            raise ValueError("specials must hold `end` (it opens and closes documents) and none of them twice")
        self.check_specials(self.specials)
        if self.target is not None:
            self.target.check_specials(self.specials, "target.")
        return self

    @pydantic.model_validator(mode="after")
    def _target_is_read(self) -> TransformConfig:
        if self.target is not None and self.records == "lanes":
            raise ValueError("target is for `records: examples`; lanes hold the text alone. Leave it out")
        return self

    def of(self, feature: str) -> TokenizerConfig:
        """The tokenizer's keys for a feature, `text` or `target`."""
        return self.target if feature == "target" and self.target is not None else self
