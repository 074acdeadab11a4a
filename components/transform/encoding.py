"""A document's features as numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from components.documents import Feature
from components.transform.manifest import FeatureInfo
from components.transform.records import token_dtype
from components.transform.tokenizers import Tokenizer

# What the features of Examples are called from here on, where the name changes.
_NAMES = {"text": "tokens"}


@dataclass(frozen=True)
class Encoder:
    """Turns the features of documents into numbers.

    Attributes:
        features: What every document has.
        tokenizers: Text feature → its tokenizer.
        classes: Feature of classes → their names, by id.
    """

    features: Mapping[str, Feature]
    tokenizers: Mapping[str, Tokenizer]
    classes: Mapping[str, Sequence[str]]

    @cached_property
    def infos(self) -> dict[str, FeatureInfo]:
        """How each feature is stored."""
        return {_NAMES.get(name, name): self._info(name, feature) for name, feature in self.features.items()}

    def _info(self, name: str, feature: Feature) -> FeatureInfo:
        if name in self.tokenizers:
            size = len(self.tokenizers[name])
            return FeatureInfo("tokens", token_dtype(size).name, size)
        if name in self.classes:
            size = len(self.classes[name])
            return FeatureInfo(feature.kind, token_dtype(size).name, size)
        if name == "value":
            return FeatureInfo(feature.kind, "float32")
        return FeatureInfo(feature.kind, np.dtype(feature.dtype).name, shape=feature.shape)

    @cached_property
    def _ids(self) -> dict[str, dict[str, int]]:
        return {feature: {name: i for i, name in enumerate(names)} for feature, names in self.classes.items()}

    def encode(self, raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The numbers of each feature of a document, an array as it is.

        Args:
            raw: Its features, as `RawExamples.read` yields them, and the `array` if it has one.
        """
        return {_NAMES.get(name, name): self._numbers(name, raw[name]) for name in self.features}

    def _numbers(self, name: str, value: Any) -> np.ndarray:
        if name in self.tokenizers:
            return self.tokenizers[name].encode(value)
        if name in self.classes:
            ids = self._ids[name]
            return np.asarray([ids[tag] for tag in value] if name == "tags" else ids[value], np.int64)
        return np.asarray(value)
