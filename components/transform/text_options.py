"""What is done to a text before it is cut into tokens: Unicode normalisation, then lower case.

`components.exporter.unicode` does the same inside a TensorFlow graph.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

Normalization = Literal["none", "NFC", "NFKC"]


@dataclass(frozen=True)
class TextOptions:
    """How a text is normalised.

    Attributes:
        normalization: Unicode normalisation form; `none` leaves the text alone.
        lowercase: Whether each character becomes its lower case, after normalisation. Character by character: a sigma
            at a word's end is σ like any other, and U+0130 becomes two characters.

    Raises:
        ValueError: There is no such normalisation.
    """

    normalization: Normalization = "none"
    lowercase: bool = False

    def __post_init__(self) -> None:
        if self.normalization not in get_args(Normalization):
            raise ValueError(
                f"TextOptions: normalization must be one of {', '.join(get_args(Normalization))}. Received: "
                f"normalization={self.normalization!r}. Choose one of them."
            )

    @property
    def is_identity(self) -> bool:
        """Whether every text stays as it is."""
        return self.normalization == "none" and not self.lowercase

    def apply(self, text: str) -> str:
        """Returns the text normalised and in lower case, as far as the options say so."""
        if self.normalization != "none":
            # Text that is normalised already, nearly all there is, costs no more than a look at it.
            text = unicodedata.normalize(self.normalization, text)
        if self.lowercase:
            # Of all characters, only Σ has a lower case that depends on the letters beside it.
            text = text.replace("Σ", "σ").lower()
        return text
