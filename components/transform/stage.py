"""The Transform stage: counts symbols, makes the tokenizer, writes the lanes."""

from __future__ import annotations

import dataclasses
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.documents import FIELDS, Documents
from components.native_logs import import_quietly
from components.transform.bpe import trainer_version
from components.transform.examples import SHARD_BYTES, shard_specs
from components.transform.lanes import SplitLayout, lane_specs
from components.transform.text_blocks import BLOCK_BYTES, block_ranges
from pipeline.artifacts import Artifact, Examples, TransformedExamples, TransformGraph
from pipeline.config import BeamConfig, TransformConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Transform(Stage):
    """Turns documents into a tokenizer and lanes of windows, with Apache Beam."""

    transform: TransformConfig
    beam: BeamConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"examples": Examples}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
    }

    def settings(self) -> dict[str, Any]:
        # Which runner does the work changes no byte of the result.
        return {"transform": self.transform.model_dump(mode="json", exclude={"beam"})}

    def environment(self, root: Path) -> dict[str, Any]:
        versions = {}
        if self.transform.normalization != "none" or self.transform.lowercase:
            versions["unicode"] = unicodedata.unidata_version
        if self.transform.tokenizer == "bpe":
            versions["tokenizers"] = trainer_version()
        return versions

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Beam takes two seconds, and `--help` must not.
        import_quietly("apache_beam")
        from components.beam_run import ForEach, Meter, run_pipeline
        from components.transform import beam
        from components.transform.manifest import Manifest, SplitManifest
        from components.transform.records import token_dtype
        from components.transform.vocabulary import counting, make_tokenizer

        options = (self.transform.beam or self.beam).model_dump()
        folder = outputs["transformed_examples"]
        splits = Documents.splits(inputs["examples"])
        what = counting(self.transform, splits["train"])
        ranges = {name: block_ranges(documents, what.anywhere, BLOCK_BYTES) for name, documents in splits.items()}
        blocks = [beam.Block(name, *span) for name, spans in ranges.items() for span in spans]

        counts_file = outputs["transform_graph"] / "counts.pickle"
        meter = Meter("transform: count", str(folder / "progress"))
        job = beam.CountJob(splits, what.count, what.anywhere, meter)
        with meter.shown():
            run_pipeline(blocks, beam.CountBlocks(job, counts_file), options)
        counts = beam.read_counts(counts_file)

        tokenizer = make_tokenizer(self.transform, what, counts.symbols["train"])
        unknown = {name: tokenizer.unknown_among(counts.symbols[name]) for name in splits}
        self._check_unknown(unknown)
        total = {name: counts.tokens(name) for name in splits}
        layouts = {name: self._layout(name, total[name]) for name in splits if self.transform.records == "lanes"}

        tokenizer.save(outputs["transform_graph"])
        for name in splits:
            (folder / f"Split-{name}").mkdir()
        meter = Meter("transform: write", str(folder / "progress"))
        elements: list[Any] = []
        manifests = {}
        for name, documents in splits.items():
            numbers = (len(documents), documents.characters)
            if name in layouts:
                elements += lane_specs(name, layouts[name], counts.spans(name))
                manifests[name] = SplitManifest.of(layouts[name], *numbers, unknown[name])
            else:
                elements += shard_specs(name, documents, SHARD_BYTES)
                shutil.copyfile(documents.folder / FIELDS, folder / f"Split-{name}" / FIELDS)
                manifests[name] = SplitManifest.of_examples(*numbers, total[name] - len(documents), unknown[name])
        if layouts:
            lanes = beam.LaneJob(splits, layouts, tokenizer, str(folder), meter)
            write = ForEach("Write lanes", beam.write_lane, (lanes,))
        else:
            examples = beam.ExamplesJob(splits, tokenizer, str(folder), meter)
            write = ForEach("Write examples", beam.write_examples, (examples,))
        with meter.shown():
            run_pipeline(elements, write, options)

        Manifest(
            vocabulary_size=len(tokenizer),
            window_length=self.transform.window_length,
            dtype=token_dtype(len(tokenizer)).name,
            splits=manifests,
            records=self.transform.records,
        ).save(folder)

    def _layout(self, split: str, predictions: int) -> SplitLayout:
        window = self.transform.window_length
        if split != "train":
            # Evaluation reads whole documents, however short the split is.
            return SplitLayout(predictions, 1, window)
        lanes = self.transform.lanes
        if predictions < lanes * window:
            raise ValueError(
                f"Transform: the train split must fill one window per lane, lanes × window_length = {lanes} × {window} "
                f"= {lanes * window} tokens. Received: {predictions}. Use a longer corpus, fewer transform.lanes or a "
                "shorter transform.window_length."
            )
        return SplitLayout(predictions, lanes, window)

    def _check_unknown(self, unknown: Mapping[str, int]) -> None:
        missing = {name: count for name, count in unknown.items() if count}
        if missing and "unk" not in self.transform.specials:
            raise ValueError(
                f"Transform: without the special `unk` every split must use the train split's vocabulary only. "
                f"Received: unknown tokens {missing}. Add unk to transform.specials."
            )
