"""What is done to a text before it is cut into tokens: Unicode normalisation and lower case."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TextOptions:
    normalization: Literal["none", "NFC", "NFKC"] = "none"
    lowercase: bool = False

    @property
    def is_identity(self) -> bool:
        return self.normalization == "none" and not self.lowercase

    def apply(self, text: str) -> str:
        if self.normalization != "none":
            text = unicodedata.normalize(self.normalization, text)
        return "".join(c.lower() for c in text) if self.lowercase else text
