"""The Transform stage: counts symbols, makes the tokenizers, writes lanes or examples."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.documents import Documents, read_features
from components.heavy_imports import import_quietly
from components.transform.bpe import trainer_version
from components.transform.lanes import SplitLayout, lane_specs
from components.transform.text_blocks import BLOCK_BYTES, block_ranges
from pipeline.artifacts import Artifact, Examples, TransformedExamples, TransformGraph
from pipeline.config import BeamConfig, TransformConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Transform(Stage):
    """Turns documents into tokenizers, and into lanes of windows or examples with features, with Apache Beam."""

    transform: TransformConfig
    beam: BeamConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"examples": Examples}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "transform_graph": TransformGraph,
        "transformed_examples": TransformedExamples,
    }
    ahead: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        # Which runner does the work changes no byte of the result.
        return {"transform": self.transform.model_dump(mode="json", exclude={"beam"})}

    def environment(self, root: Path) -> dict[str, Any]:
        configs, versions = [self.transform.of(feature) for feature in ("text", "target")], {}
        if any(config.normalization != "none" or config.lowercase for config in configs):
            versions["unicode"] = unicodedata.unidata_version
        if any(config.tokenizer == "bpe" for config in configs):
            versions["tokenizers"] = trainer_version()
        return versions

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Beam takes two seconds, and `--help` must not.
        import_quietly("apache_beam")
        options = (self.transform.beam or self.beam).model_dump()
        graph, folder = outputs["transform_graph"], outputs["transformed_examples"]
        if self.transform.records == "lanes":
            self._write_lanes(options, inputs["examples"], graph, folder)
        else:
            from components.transform.feature_passes import transform_examples

            transform_examples(self.transform, options, inputs["examples"], graph, folder)

    def _write_lanes(self, options: Mapping[str, Any], examples: Path, graph: Path, folder: Path) -> None:
        from components.beam_run import ForEach, Meter, run_pipeline
        from components.transform import beam
        from components.transform.manifest import Manifest, SplitManifest
        from components.transform.records import token_dtype
        from components.transform.vocabulary import block_texts, check_unknown, counting, make_tokenizer

        features = read_features(examples)
        if "text" not in features:
            raise ValueError(
                f"Transform: lanes must be made of text. Received: documents with {', '.join(features)}. Set "
                "transform.records=examples."
            )
        specials = self.transform.specials
        splits = Documents.splits(examples)
        what = counting(self.transform, specials, block_texts(splits["train"]))
        ranges = {name: block_ranges(documents, what.anywhere, BLOCK_BYTES) for name, documents in splits.items()}
        blocks = [beam.Block(name, *span) for name, spans in ranges.items() for span in spans]

        counts_file = graph / "counts.pickle"
        total = sum(block.stop - block.start for block in blocks)
        meter = Meter("transform: count", str(folder / "progress"), total)
        job = beam.CountJob(splits, what.count, what.anywhere, meter)
        with meter.shown():
            run_pipeline(blocks, beam.Count(beam.count, job, beam.Counts, counts_file), options)
        counts: beam.Counts = beam.read_counts(counts_file)

        tokenizer = make_tokenizer(self.transform, specials, what, counts.symbols["train"])
        unknown = {name: tokenizer.unknown_among(counts.symbols[name]) for name in splits}
        check_unknown(unknown, specials)
        layouts = {name: self._layout(name, counts.tokens(name)) for name in splits}

        tokenizer.save(graph)
        elements = []
        for name in splits:
            (folder / f"Split-{name}").mkdir()
            elements += lane_specs(name, layouts[name], counts.spans(name))
        meter = Meter("transform: write", str(folder / "progress"), total)
        lanes = beam.LaneJob(splits, layouts, tokenizer, str(folder), meter)
        with meter.shown():
            run_pipeline(elements, ForEach("Write lanes", beam.write_lane, (lanes,)), options)

        Manifest(
            vocabulary_size=len(tokenizer),
            window_length=self.transform.window_length,
            dtype=token_dtype(len(tokenizer)).name,
            splits={
                name: SplitManifest.of(layouts[name], len(documents), documents.characters, unknown[name])
                for name, documents in splits.items()
            },
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
