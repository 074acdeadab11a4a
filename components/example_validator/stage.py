"""The ExampleValidator stage: runs the checks, keeps what they found, and says what stops the run."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rich.console import Console

from components.example_validator.accepted import (
    ACCEPTED,
    RECORD,
    SENTENCES,
    STATISTICS_FILES,
    accepted,
    baseline,
    digest,
    read_record,
)
from pipeline.artifacts import Artifact, ExampleAnomalies, ExampleStatistics, Schema
from pipeline.config import ExampleValidatorConfig
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class ExampleValidator(Stage):
    """Compares the statistics with the schema, with each other and with the corpus before; warns or stops."""

    example_validator: ExampleValidatorConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"statistics": ExampleStatistics, "schema": Schema}
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"anomalies": ExampleAnomalies}

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        """Whether another run would compare with the same corpus: the newest accepted one but this."""
        record = read_record(outputs["anomalies"])
        if not record:
            return False
        before = baseline(accepted(root, self.stage_name()), record["statistics"])
        return record["baseline"] == (None if before is None else before.digest)

    def refusals(self, outputs: Mapping[str, Path], root: Path) -> list[str]:
        """The findings of severity `stop`; drift is none any more once the corpus was accepted in this root."""
        from components.example_validator.checks import AGAINST_BASELINE

        record = read_record(outputs["anomalies"])
        stops = [anomaly for anomaly in record["anomalies"] if anomaly["severity"] == "stop"]
        if all(anomaly["check"] in AGAINST_BASELINE for anomaly in stops):
            known = {corpus.digest for corpus in accepted(root, self.stage_name())}
            if record["statistics"] in known:
                return []
        sentences = [f"{anomaly['sentence']} [{anomaly['check']}]" for anomaly in stops]
        remedy = f"Correct the corpus, or let it pass with --set {self.stage_name()}.CHECK.severity=warn."
        return [*sentences, remedy] if stops else []

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        from components.example_validator.anomalies import as_json, to_message
        from components.example_validator.checks import validate
        from components.schema_gen import schema
        from components.statistics_gen import statistics

        splits, expected = statistics.load(inputs["statistics"]), schema.load(inputs["schema"])
        own = digest(inputs["statistics"])
        before = baseline(accepted(root, self.stage_name()), own)
        earlier = None if before is None else statistics.load(before.folder)
        found = validate(splits, expected, earlier, self.example_validator)

        folder = outputs["anomalies"]
        for split in splits:
            (folder / f"Split-{split}").mkdir()
            message = to_message([anomaly for anomaly in found if anomaly.split == split], expected)
            (folder / f"Split-{split}" / "SchemaDiff.pb").write_bytes(message.SerializeToString(deterministic=True))
        lines = [f"{anomaly.severity}: {anomaly.sentence} [{anomaly.check}]\n" for anomaly in found]
        (folder / SENTENCES).write_text("".join(lines), encoding="utf-8")
        passed = all(anomaly.severity != "stop" for anomaly in found)
        record = {
            "accepted": passed,
            "statistics": own,
            "baseline": None if before is None else before.digest,
            "anomalies": as_json(found),
        }
        (folder / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        if passed:
            for path in inputs["statistics"].glob(STATISTICS_FILES):
                copy = folder / ACCEPTED / path.parent.name / path.name
                copy.parent.mkdir(parents=True)
                shutil.copyfile(path, copy)
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for line, anomaly in zip(lines, found, strict=True):
            if anomaly.severity == "warn":  # the others are the run's last words
                console.print(line, end="", markup=False)
