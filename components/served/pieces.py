"""Token ids to text, piece by piece, as they are written."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from components.transform.tokenizers import Tokenizer, WordTokenizer

_PARTING = "\t\n\v\f\r "


class Pieces:
    """Turns the ids that continue a prompt into text; the pieces together are the continuation.

    Args:
        tokenizer: Of the model.
        prompt: What is before the first piece.

    Attributes:
        data: All that was added, UTF-8; tokens smaller than a character may leave a part of one at the end.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: str) -> None:
        self.data = b""
        self._specials = len(tokenizer.specials)
        self._symbols = tokenizer.symbols
        self._words = isinstance(tokenizer, WordTokenizer)
        self._parted = not prompt or prompt[-1] in _PARTING
        # The rest of a character may be in the next piece.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, ids: Iterable[int], last: bool = False) -> str:
        """The text of further ids; `last`: nothing comes after them."""
        added = b"".join(self._spaced(self._symbols[i - self._specials]) for i in ids)
        self.data += added
        return self._decoder.decode(added, final=last)

    def _spaced(self, symbol: bytes) -> bytes:
        """A word with the space before it: one between words, none beside a line end. Other tokens as they are."""
        if not self._words:
            return symbol
        space = b"" if self._parted or symbol == b"\n" else b" "
        self._parted = symbol == b"\n"
        return space + symbol
