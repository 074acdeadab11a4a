"""The ExampleGen stage: reads every document, checks it, and writes the splits."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from rich.console import Console

from components.example_gen.assemble import StagedCorpus, write_splits
from components.example_gen.bad_records import FILE, bad_records, error_for, repeated, write_list
from components.example_gen.groups import Job, Piece, file_pieces, make_groups
from components.example_gen.sources import InputFile, digest, list_files
from components.example_gen.split_names import KNOWN, split_code_in
from components.example_gen.splits import Part, by_hash, by_position, given, same
from components.example_gen.staging import stage_group
from components.native_logs import import_quietly
from pipeline.artifacts import Artifact, Examples
from pipeline.config import BeamConfig, ExampleGenConfig, SeparatorConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class ExampleGen(Stage):
    """Reads a corpus and divides it into train, eval and test."""

    example_gen: ExampleGenConfig
    beam: BeamConfig

    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"examples": Examples}

    def settings(self) -> dict[str, Any]:
        # Which runner does the work changes no byte of the result.
        return {"example_gen": self.example_gen.model_dump(mode="json")}

    def environment(self, root: Path) -> dict[str, Any]:
        kind, _, rest = self.example_gen.source.partition(":")
        if kind == "inline":
            return {"corpus": hashlib.sha256(rest.encode("utf-8")).hexdigest()}
        if kind == "tfds":
            from components.example_gen import tfds

            return {"corpus": tfds.state(tfds.prepared(rest, self.example_gen.data_dir))}
        return {"corpus": digest(list_files(self.example_gen.source))}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        examples = outputs["examples"]
        staging = examples / ".staging"
        try:
            corpus = self._stage(staging)
            write_splits(corpus, self._plan(corpus, self._without_bad(corpus, examples)), examples)
        except BaseException:
            for path in examples.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise
        shutil.rmtree(staging)

    def _stage(self, staging: Path) -> StagedCorpus:
        """Reads the corpus into groups."""
        job, pieces = self._job(str(staging))
        groups = list(make_groups(pieces))
        staging.mkdir()
        if job.layout == "inline":
            stage_group(groups[0], job, lambda **done: None)  # its text is here already
            return StagedCorpus(groups, job)
        # Imported here: Beam takes two seconds, and `--help` must not.
        import_quietly("apache_beam")
        from components.beam_run import ForEach, Meter, run_pipeline

        meter = Meter("example_gen", str(staging / "progress"))
        with meter.shown():
            run_pipeline(groups, ForEach("Stage groups", stage_group, (job, meter.add)), self.beam.model_dump())
        return StagedCorpus(groups, job)

    def _job(self, folder: str) -> tuple[Job, list[tuple[Piece, int]]]:
        """How to read, and what."""
        settings = self.example_gen
        kind, _, rest = settings.source.partition(":")
        by_name = settings.splits == "given" and settings.fields.split is None
        job = Job(folder, {"package": "markdown", "text": "file"}.get(kind, kind), settings.fields)
        if kind == "inline":
            return job, [(Piece("inline", rest), len(rest))]
        if kind == "tfds":
            from components.example_gen import tfds

            builder = tfds.prepared(rest, settings.data_dir)
            job = dataclasses.replace(job, dataset=rest, data_dir=settings.data_dir)
            return job, list(tfds.example_pieces(builder, only_named=by_name))
        if isinstance(settings.document, SeparatorConfig):
            job = dataclasses.replace(job, layout="separator", separator=settings.document.separator.encode("utf-8"))
        elif settings.document == "line":
            job = dataclasses.replace(job, layout="line")
        files = list_files(settings.source)
        if by_name:
            _check_names(files)
        return job, list(file_pieces(files, job.layout))

    def _without_bad(self, corpus: StagedCorpus, examples: Path) -> np.ndarray:
        """Deals with bad records as configured.

        Returns:
            Which documents are left: bool [documents].
        """
        # Documents that are named after their files cannot have a name twice.
        own_ids = self.example_gen.fields.id is not None
        again = repeated(corpus.hashes) if own_ids else np.zeros(len(corpus.characters), bool)
        found = bad_records(corpus, again)
        first = next(found, None)
        count = 0 if first is None else 1 + sum(1 for _ in found)
        left = ~again
        if first is not None and (self.example_gen.on_bad_record == "fail" or not left.any()):
            raise error_for(first, count, corpus.job)
        if self.example_gen.on_bad_record == "skip":
            write_list(examples / FILE, bad_records(corpus, again))
        if count:
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"ExampleGen: {count:,} of {count + int(left.sum()):,} records are bad and left out; {FILE} of the "
                "examples lists them.",
                markup=False,
            )
        return left

    def _plan(self, corpus: StagedCorpus, left: np.ndarray) -> dict[str, Part]:
        """Which of the documents that are left go where."""
        kept = slice(None) if left.all() else left  # a slice copies nothing
        characters, shares = corpus.characters[kept], self.example_gen.splits
        total = int(characters.sum())
        parts: dict[str, Part] = {}
        if shares == "same":
            parts = same(len(characters))
        elif shares == "given":
            parts = given(characters, corpus.hashes[kept], corpus.codes[kept])
        elif self.example_gen.split_by == "hash" and total:
            parts = by_hash(characters, corpus.hashes[kept], shares.model_dump())
        elif total:
            parts = by_position(characters, shares.model_dump())
        for name, part in parts.items():
            if not part.characters(characters):
                raise _too_short(total, name)
        if not parts:
            raise _too_short(total, "train")
        return {name: part.among(left) for name, part in parts.items()}


def _too_short(characters: int, split: str) -> ValueError:
    return ValueError(
        f"ExampleGen: every split must hold a character. Received: {characters} characters in all, none of them for "
        f"{split!r}. Use a longer corpus or `splits: same`."
    )


def _check_names(files: list[InputFile]) -> None:
    """Refuses `splits: given` for files that do not say whose they are."""
    for file in files:
        if split_code_in(file.id) is None:
            raise ValueError(
                f"ExampleGen: with `splits: given` the name or a folder of every file must hold one of {KNOWN}. "
                f"Received: {file.id!r}, seen from the folder above the first wildcard. Rename it, move the wildcard "
                "up (`data/*/*.txt`), or name a field in example_gen.fields.split."
            )
