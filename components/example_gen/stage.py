"""The ExampleGen stage: reads every document, checks it, and writes the splits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.documents import DocumentWriter
from components.example_gen.sources import Source, digest, open_source
from components.example_gen.splits import Piece, same, split
from pipeline.artifacts import Artifact, Examples
from pipeline.config import ExampleGenConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class ExampleGen(Stage):
    """Reads a corpus and divides it into train, eval and test."""

    example_gen: ExampleGenConfig

    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"examples": Examples}

    def environment(self, root: Path) -> dict[str, Any]:
        return {"corpus": digest(open_source(self.example_gen.source))}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        sources = {source.id: source for source in open_source(self.example_gen.source)}
        # Everything is read, and so checked, before anything is written.
        lengths = {name: len(source.read()) for name, source in sources.items()}
        plan = self._plan(lengths)
        for name, pieces in plan.items():
            if not pieces:
                raise ValueError(
                    f"ExampleGen: every split must hold a character. Received: {sum(lengths.values())} characters in "
                    f"all, none of them for {name!r}. Use a longer corpus or `splits: same`."
                )
        for name, pieces in plan.items():
            write_split(outputs["examples"] / f"Split-{name}", pieces, sources)

    def _plan(self, lengths: Mapping[str, int]) -> dict[str, list[Piece]]:
        splits = self.example_gen.splits
        if splits == "same":
            return same(lengths, ["train", "eval", "test"])
        return split(lengths, splits.model_dump())


def write_split(folder: Path, pieces: list[Piece], sources: Mapping[str, Source]) -> None:
    """Writes one split: see `pipeline.artifacts.Examples`. Holds one document in memory at a time."""
    folder.mkdir()
    with DocumentWriter(folder) as writer:
        for piece in pieces:
            characters = sources[piece.id].read()[piece.start : piece.stop]
            writer.write(characters.encode("utf-8"), len(characters), {"id": piece.id})
