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

from components.documents import write_features
from components.example_gen.assemble import StagedCorpus, write_splits
from components.example_gen.bad_records import FILE, Marked, bad_records, error_for, misshapen, repeated, write_list
from components.example_gen.datasets.locate import Located, locate
from components.example_gen.datasets.registry import find
from components.example_gen.features import features_of
from components.example_gen.groups import Job, Piece, bytes_of_text, file_pieces, make_groups
from components.example_gen.sources import InputFile, digest, list_files
from components.example_gen.split_names import KNOWN, split_code_in
from components.example_gen.splits import Part, by_hash, by_position, given, same
from components.example_gen.staging import stage_group
from components.example_gen.unseen_classes import unseen_classes
from components.heavy_imports import import_quietly
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
        # Which runner does the work, and where the data sets lie, changes no byte of the result.
        return {"example_gen": self.example_gen.model_dump(mode="json", exclude={"data_root"})}

    def environment(self, root: Path) -> dict[str, Any]:
        kind, rest, folder, missing = locate(self.example_gen)
        if kind == "inline":
            return {"corpus": hashlib.sha256(rest.encode("utf-8")).hexdigest()}
        if kind == "tfds":
            from components.example_gen import tfds

            if missing:  # said before anything is downloaded
                _tell(f"{missing}: reading tfds:{rest} instead.")
            return {"corpus": tfds.state(tfds.prepared(rest, self.example_gen.data_dir))}
        if kind == "dataset":
            return {"corpus": digest(find(rest).files(folder))}
        return {"corpus": digest(list_files(self.example_gen.source))}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        examples = outputs["examples"]
        staging = examples / ".staging"
        try:
            corpus = self._stage(staging)
            marked = self._marked(corpus)
            plan = self._plan(corpus, marked.left())
            if self.example_gen.on_bad_record == "skip":
                marked = dataclasses.replace(marked, unseen=unseen_classes(corpus, plan))
                plan = _without_unseen(plan, marked)
                self._list_bad(corpus, marked, examples)
            write_splits(corpus, plan, examples)
            write_features(examples, corpus.features(marked.left()))
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

        meter = Meter("example_gen", str(staging / "progress"), bytes_of_text(pieces, job.layout))
        with meter.shown():
            run_pipeline(groups, ForEach("Stage groups", stage_group, (job, meter.add)), self.beam.model_dump())
        return StagedCorpus(groups, job)

    def _job(self, folder: str) -> tuple[Job, list[tuple[Piece, int]]]:
        """How to read, and what."""
        settings = self.example_gen
        found = locate(settings)
        by_name = settings.splits == "given" and settings.fields.split is None
        layout = {"package": "markdown", "text": "file"}.get(found.kind, found.kind)
        job = Job(folder, layout, settings.fields, features_of(settings.fields))
        if found.kind == "inline":
            return job, [(Piece("inline", found.name), len(found.name))]
        if found.kind == "dataset":
            data_set = find(found.name)
            if by_name and not data_set.given:
                raise ValueError(
                    f"ExampleGen: with `splits: given` the data set must come divided. Received: "
                    f"source={settings.source!r}, which does not. Give shares of it as example_gen.splits."
                )
            job = dataclasses.replace(job, features=data_set.features, dataset=found.name)
            return job, list(data_set.pieces(found.folder))
        if found.kind == "tfds":
            return self._tfds_job(job, found, by_name)
        if isinstance(settings.document, SeparatorConfig):
            job = dataclasses.replace(job, layout="separator", separator=settings.document.separator.encode("utf-8"))
        elif settings.document == "line":
            job = dataclasses.replace(job, layout="line")
        files = list_files(settings.source)
        if by_name:
            _check_names(files)
        return job, list(file_pieces(files, job.layout))

    def _tfds_job(self, job: Job, found: Located, by_name: bool) -> tuple[Job, list[tuple[Piece, int]]]:
        from components.example_gen import tfds

        settings = self.example_gen
        builder = tfds.prepared(found.name, settings.data_dir)
        if settings.fields.array is not None:
            dtype = tfds.array_dtype(tfds.feature_named(builder, settings.fields.array))
            job = dataclasses.replace(job, features=features_of(settings.fields, dtype))
        if settings.tfds is not None:
            _check_features(settings, set(job.features))
        job = dataclasses.replace(job, dataset=found.name, data_dir=settings.data_dir)
        # What there is to learn is missing from splits of other names, as labels are from `unsupervised` of IMDb.
        is_learnt = not {"text", "array"}.issuperset(job.features)
        return job, list(tfds.example_pieces(builder, only_named=by_name or is_learnt))

    def _marked(self, corpus: StagedCorpus) -> Marked:
        """Finds the documents that are bad; the first bad record is the end if it has to be."""
        # Documents that are named after their files cannot have a name twice.
        own_ids = self.example_gen.fields.id is not None or corpus.job.layout == "dataset"
        nothing = np.zeros(len(corpus.characters), bool)
        again = repeated(corpus.hashes) if own_ids else nothing
        marked = Marked(again, nothing if corpus.shapes is None else misshapen(corpus.shapes))
        found = bad_records(corpus, marked)
        first = next(found, None)
        if first is not None and (self.example_gen.on_bad_record == "fail" or not marked.left().any()):
            raise error_for(first, 1 + sum(1 for _ in found), corpus.job)
        return marked

    @staticmethod
    def _list_bad(corpus: StagedCorpus, marked: Marked, examples: Path) -> None:
        count = write_list(examples / FILE, bad_records(corpus, marked))
        if count:
            _tell(
                f"{count:,} of {count + int(marked.left().sum()):,} records are bad and left out; {FILE} of the "
                "examples lists them."
            )

    def _plan(self, corpus: StagedCorpus, left: np.ndarray) -> dict[str, Part]:
        """Which of the documents that are left go where."""
        kept = slice(None) if left.all() else left  # a slice copies nothing
        # Without text, a document counts as one.
        has_text, is_text = "text" in corpus.job.features, set(corpus.job.features) == {"text"}
        sizes = corpus.characters[kept] if has_text else np.ones(int(left.sum()), np.int64)
        shares, total = self.example_gen.splits, int(sizes.sum())
        parts: dict[str, Part] = {}
        if shares == "same":
            parts = same(len(sizes))
        elif shares == "given":
            parts = given(sizes, corpus.hashes[kept], corpus.codes[kept])
        elif self.example_gen.split_by == "hash" and total:
            parts = by_hash(sizes, corpus.hashes[kept], shares.model_dump())
        elif total:
            parts = by_position(sizes, shares.model_dump(), can_cut=is_text)
        what = "character" if has_text else "document"
        for name, part in parts.items():
            if not part.characters(sizes):
                raise _too_short(total, name, what)
            # Text alone can be cut, with what else is known of it on both sides.
            if part.stop is not None and not is_text:
                raise _too_short(len(sizes), name, "document")
        if not parts:
            raise _too_short(total, "train", what)
        return {name: part.among(left) for name, part in parts.items()}


def _tell(said: str) -> None:
    """Prints a line for people."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"ExampleGen: {said}", markup=False)


def _without_unseen(plan: Mapping[str, Part], marked: Marked) -> dict[str, Part]:
    """What the splits take without the documents whose classes train has not."""
    if not marked.unseen:
        return dict(plan)
    left = marked.left()
    rest = {name: dataclasses.replace(part, chosen=part.chosen & left) for name, part in plan.items()}
    for name, part in rest.items():
        if not part.chosen.any():
            split, value = next(iter(marked.unseen.values()))
            raise ValueError(
                f"ExampleGen: every split must hold a document whose classes occur in train. Received: none of them "
                f"in {name!r}; {value} in {split!r}, for one. Put documents of these classes into train."
            )
    return rest


def _too_short(total: int, split: str, what: str) -> ValueError:
    return ValueError(
        f"ExampleGen: every split must hold a {what}. Received: {total} {what}s in all, none of them for "
        f"{split!r}. Use a longer corpus or `splits: same`."
    )


def _check_features(settings: ExampleGenConfig, features: set[str]) -> None:
    """Refuses fields that do not make of a TFDS set what the data set's own files would give."""
    expected = set(find(settings.source.partition(":")[2]).features)
    if features != expected:
        raise ValueError(
            f"ExampleGen: example_gen.fields must name the features {', '.join(sorted(expected))} for "
            f"{settings.source!r} from TFDS. Received: {', '.join(sorted(features))}, tfds={settings.tfds!r}. Name the "
            "field of each, and null for text if it is not among them."
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
