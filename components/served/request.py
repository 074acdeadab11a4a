"""What can be asked of a served language model, and which values are right."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

_INT32 = 2**31


@dataclasses.dataclass(frozen=True)
class TextRequest:
    """A text to be written; the inputs of the signature `sample`, for one row.

    Attributes:
        prompt: What it begins with.
        max_length: Most tokens to write.
        min_length: Tokens to write before `<end>` may come.
        temperature, top_k, top_p: See `components.sampling.sample`.
        seed: Same seed, same text.
        repetition_stop: Ends a text that goes round in a circle for so many tokens; 0: never.

    Raises:
        ValueError, TypeError: A value that cannot be, by name.
    """

    prompt: str = ""
    max_length: int = 200
    min_length: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    repetition_stop: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.prompt, str):
            raise TypeError(f"generate: prompt must be text. Received: prompt={self.prompt!r}.")
        try:
            self.prompt.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(f"generate: prompt must be Unicode without lone surrogates ({error}).") from error
        for name in ("max_length", "min_length", "top_k", "repetition_stop"):
            self._check(name, "be an integer >= 0 and below 2^31", _is_integer(self[name]) and 0 <= self[name] < _INT32)
        self._check("seed", "be an integer of 64 bits", _is_integer(self.seed) and -(2**63) <= self.seed < 2**63)
        self._check(
            "temperature", "be a number >= 0 and finite", _is_finite(self.temperature) and self.temperature >= 0
        )
        self._check("top_p", "be a number > 0 and <= 1", _is_finite(self.top_p) and 0 < self.top_p <= 1)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def _check(self, name: str, rule: str, holds: bool) -> None:
        if not holds:
            raise ValueError(f"generate: {name} must {rule}. Received: {name}={self[name]!r}.")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
