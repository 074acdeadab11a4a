"""The Transform stage: counts characters, makes the vocabulary, writes the lanes."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from components.documents import Documents
from components.native_logs import import_quietly
from components.transform.lanes import SplitLayout, end_positions, lane_specs
from components.transform.manifest import Manifest, SplitManifest
from components.transform.records import token_dtype
from components.transform.text_blocks import block_ranges
from components.transform.vocabulary import Vocabulary
from pipeline.artifacts import Artifact, Examples, TransformedExamples, TransformGraph
from pipeline.config import BeamConfig, TransformConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Transform(Stage):
    """Turns documents into a vocabulary and lanes of windows, with Apache Beam."""

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

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Beam takes two seconds, and `--help` must not.
        import_quietly("apache_beam")
        from components.beam_run import run_pipeline
        from components.transform import beam

        options = (self.transform.beam or self.beam).model_dump()
        splits = Documents.splits(inputs["examples"])
        texts = {name: str(documents.text) for name, documents in splits.items()}
        layouts = {
            name: self._layout(name, documents.characters + len(documents)) for name, documents in splits.items()
        }

        counts_file = outputs["transform_graph"] / "counts.json"
        blocks = [beam.Block(name, *span) for name in splits for span in block_ranges(splits[name].bytes)]
        run_pipeline(blocks, beam.CountBlocks(texts, counts_file), options)
        counted = [beam.BlockCounts(*row) for row in json.loads(counts_file.read_text("utf-8"))]
        counts_file.unlink()
        counts = {name: Counter[int]() for name in splits}
        for block in counted:
            counts[block.split].update(dict(block.counts))

        vocabulary = Vocabulary.from_counts(counts["train"], self.transform.specials, self.transform.min_count)
        known = {ord(character) for character in vocabulary.characters}
        unknown = {name: sum(n for code, n in counts[name].items() if code not in known) for name in splits}
        self._check_unknown(unknown)
        vocabulary.save(outputs["transform_graph"])

        specs = []
        for name in splits:
            ends = end_positions(np.diff(splits[name].offsets[:, 1]).tolist())
            spans = [(b.start, b.stop, sum(n for _, n in b.counts)) for b in counted if b.split == name]
            specs += lane_specs(name, layouts[name], ends, spans)
            (outputs["transformed_examples"] / f"Split-{name}").mkdir()
        job = beam.LaneJob(texts, layouts, vocabulary, str(outputs["transformed_examples"]))
        run_pipeline(specs, beam.WriteLanes(job), options)

        Manifest(
            vocabulary_size=len(vocabulary),
            window_length=self.transform.window_length,
            dtype=token_dtype(len(vocabulary)).name,
            splits={
                name: SplitManifest.of(layout, len(splits[name]), counts[name].total(), unknown[name])
                for name, layout in layouts.items()
            },
        ).save(outputs["transformed_examples"])

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
                f"Transform: without the special `unk` every split must use the train split's characters only. "
                f"Received: unknown characters {missing}. Add unk to transform.specials."
            )
