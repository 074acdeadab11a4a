"""The vocabulary: token ids of characters and specials, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

FILE_NAME = "vocabulary.tsv"
_CODE_POINTS = 0x110000


@dataclass(frozen=True)
class Vocabulary:
    """Token ids: first the specials, then characters in order of code point.

    Attributes:
        specials: Names without brackets (`end`, `unk`, `pad`); special i has id i.
        characters: The characters; character j has id len(specials) + j.
    """

    specials: tuple[str, ...]
    characters: str

    @classmethod
    def from_counts(cls, counts: Mapping[int, int], specials: Sequence[str], min_count: int) -> Vocabulary:
        """Keeps the code points counted at least `min_count` times."""
        kept = sorted(code for code, count in counts.items() if count >= min_count)
        return cls(tuple(specials), "".join(map(chr, kept)))

    def __len__(self) -> int:
        return len(self.specials) + len(self.characters)

    @property
    def end(self) -> int:
        """Id of `<end>`, which opens every document and closes the split."""
        return self.specials.index("end")

    @property
    def unknown(self) -> int | None:
        """Id of `<unk>`, or None without one."""
        return self.specials.index("unk") if "unk" in self.specials else None

    @property
    def outside(self) -> int:
        """Id that a character outside the vocabulary reads as: `<unk>`, or without one `<end>`, the only one left."""
        return self.end if self.unknown is None else self.unknown

    @property
    def unsampled(self) -> list[int]:
        """Ids that are never generated: every special but `<end>`."""
        return [i for i, name in enumerate(self.specials) if name != "end"]

    @property
    def tokens(self) -> list[str]:
        """String of each id: `<end>` for a special, else the character itself."""
        return [f"<{name}>" for name in self.specials] + list(self.characters)

    @property
    def code_points(self) -> list[int]:
        """Unicode code point of each id; a special has the negative number -1 - id, which no character has."""
        return [-1 - i for i in range(len(self.specials))] + [ord(character) for character in self.characters]

    @cached_property
    def _ids(self) -> np.ndarray:
        # Direct addressing by code point: one gather for any number of characters, where a dict would be a Python
        # call for each.
        ids = np.full(_CODE_POINTS, self.outside, np.int32)
        ids[[ord(character) for character in self.characters]] = np.arange(len(self.specials), len(self))
        return ids

    def encode(self, text: str) -> np.ndarray:
        """Text as token ids, int32 [characters]; a character outside the vocabulary becomes `<unk>`."""
        return self._ids[np.frombuffer(text.encode("utf-32-le"), "<u4")]

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Token ids as text; specials are written by name, `<end>`."""
        tokens = self.tokens
        return "".join(tokens[i] for i in ids)

    def save(self, folder: Path) -> None:
        """Writes `vocabulary.tsv`: id, code point (negative for a special), readable name."""
        rows = zip(self.code_points, self.tokens, strict=True)
        lines = [f"{i}\t{code}\t{token if code < 0 else f'U+{code:04X}'}\n" for i, (code, token) in enumerate(rows)]
        (folder / FILE_NAME).write_text("".join(lines), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Reads what `save` wrote.

        Raises:
            ValueError: The file is missing or not a vocabulary.
        """
        try:
            rows = [line.split("\t") for line in (folder / FILE_NAME).read_text(encoding="utf-8").splitlines()]
            specials = tuple(name.strip("<>") for _, code, name in rows if int(code) < 0)
            characters = "".join(chr(int(code)) for _, code, _ in rows if int(code) >= 0)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"Vocabulary: a folder must hold a readable {FILE_NAME}. Received: {folder} ({error}). "
                "Run the transform stage again."
            ) from error
        return cls(specials, characters)
