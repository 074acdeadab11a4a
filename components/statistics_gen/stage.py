"""The StatisticsGen stage: counts every split with Beam, and writes the statistics and their page."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from components.documents import Documents, read_features
from components.heavy_imports import import_quietly
from pipeline.artifacts import Artifact, Examples, ExampleStatistics
from pipeline.config import BeamConfig
from pipeline.stage import Stage

# Most frequent words, and values of a field, that the statistics name; all of them are counted.
_KEPT = 1000
_TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclasses.dataclass(frozen=True)
class StatisticsGen(Stage):
    """Counts what the documents of each split are made of, with Apache Beam."""

    beam: BeamConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"examples": Examples}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"statistics": ExampleStatistics}

    def settings(self) -> dict[str, Any]:
        # Which runner does the work changes no byte of the result.
        return {}

    def environment(self, root: Path) -> dict[str, Any]:
        return {"template": hashlib.sha256(_TEMPLATE.read_bytes()).hexdigest()}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        # Imported here: Beam takes two seconds, and `--help` must not.
        import_quietly("apache_beam")
        from components.beam_run import Meter, run_pipeline
        from components.statistics_gen.beam import CountBlocks, CountJob
        from components.statistics_gen.blocks import cut_blocks
        from components.statistics_gen.messages import messages
        from components.statistics_gen.page import render
        from components.statistics_gen.statistics import load, save
        from components.statistics_gen.summary import summarize

        splits = Documents.splits(inputs["examples"])
        folder = outputs["statistics"]
        work = folder / "work"
        work.mkdir()
        folders = {name: str(documents.folder) for name, documents in splits.items()}
        blocks = cut_blocks(splits)
        meter = Meter("statistics_gen", str(work / "meter"), sum(block.stop - block.start for block in blocks))
        with meter.shown():
            run_pipeline(blocks, CountBlocks(CountJob(folders, str(work), _KEPT, meter)), self.beam.model_dump())
        features = read_features(inputs["examples"])
        for message in messages(summarize(splits, blocks, work, _KEPT, features)):
            save(folder, message)
        shutil.rmtree(work)
        (folder / "statistics.html").write_text(render(load(folder), _TEMPLATE), encoding="utf-8")
