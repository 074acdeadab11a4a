"""The stage, and the chain before it: what is kept, what a corpus is compared with, and what ends a run."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components.documents import DocumentWriter
from components.example_validator.accepted import accepted, baseline, digest, read_record
from components.example_validator.stage import ExampleValidator
from components.schema_gen.stage import SchemaGen
from components.statistics_gen.stage import StatisticsGen
from pipeline import artifacts, runner
from pipeline.config import Config, ExampleGenConfig
from pipeline.errors import Refused
from pipeline.stage import Stage
from pipeline.summary import RunSummary

RAN: list[str] = []


@dataclasses.dataclass(frozen=True)
class ExampleGen(Stage):
    """Writes the documents that the source lists as JSON."""

    example_gen: ExampleGenConfig
    outputs: ClassVar = {"examples": artifacts.Examples}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        for split, texts in json.loads(self.example_gen.source.removeprefix("inline:")).items():
            folder = outputs["examples"] / f"Split-{split}"
            folder.mkdir()
            with DocumentWriter(folder) as writer:
                for i, text in enumerate(texts):
                    writer.write(text.encode(), len(text), {"id": str(i)})


@dataclasses.dataclass(frozen=True)
class Transform(Stage):
    """Says that it ran."""

    inputs: ClassVar = {"examples": artifacts.Examples}
    outputs: ClassVar = {"transform_graph": artifacts.TransformGraph}

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        RAN.append("transform")
        (outputs["transform_graph"] / "done").touch()


STAGES = (ExampleGen, StatisticsGen, SchemaGen, ExampleValidator, Transform)
LINE = "It was the best of times, it was the worst of times, number"
CLEAN = {"train": [f"{LINE} {i}\n" * 9 for i in range(40)], "eval": [f"{LINE} {i}\n" * 7 for i in range(40, 60)]}
# Half of the documents empty, and a script that was not there before.
DRIFTED = {split: ["" if i % 2 else text for i, text in enumerate(texts)] for split, texts in CLEAN.items()}
DRIFTED["train"][2] = DRIFTED["eval"][2] = "Это было лучшее из времён, это было худшее из времён. " * 9
RUSSIAN = {"train": CLEAN["train"] + [DRIFTED["train"][2]], "eval": CLEAN["eval"]}


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()


def run(root: Path, corpus: Mapping[str, Sequence[str]], validator: Mapping[str, Any] = {}, **how: Any) -> RunSummary:
    source = f"inline:{json.dumps(corpus)}"
    sections = {"pipeline": {"name": "x"}, "example_gen": {"source": source}, "example_validator": validator}
    return runner.run(STAGES, Config.model_validate(sections), root, **how)


def statuses(summary: RunSummary) -> list[str]:
    return [stage.status for stage in summary.stages]


def executions(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "example_validator").iterdir())


def test_validator_clean_corpus_passes_without_a_word_and_is_cached(tmp_path: Path, capfd: Any) -> None:
    first = run(tmp_path, CLEAN)
    assert (first.status, statuses(first)) == ("succeeded", ["ran"] * 5)
    folder = first.output("anomalies")
    assert folder is not None
    assert (folder / "anomalies.txt").read_bytes() == b""
    assert read_record(folder)["accepted"] is True
    assert statuses(run(tmp_path, CLEAN)) == ["cached"] * 5
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if not line.startswith("statistics_gen: ")] == []


def test_validator_drifted_corpus_is_stopped_with_the_reasons_and_again_when_cached(tmp_path: Path) -> None:
    assert run(tmp_path, CLEAN).status == "succeeded"
    RAN.clear()
    summaries = [run(tmp_path, DRIFTED) for _ in range(2)]
    assert statuses(summaries[0]) == ["ran", "ran", "ran", "failed", "skipped"]
    assert statuses(summaries[1]) == ["cached", "cached", "cached", "failed", "skipped"]
    assert RAN == []
    assert len(executions(tmp_path)) == 2  # the clean one, and the drifted one once
    for summary in summaries:
        assert summary.status == "failed"
        assert isinstance(summary.exception, Refused)
        reasons = summary.exception.reasons
        assert any("train: at most 10 % of the documents may be empty; 50 % are (20 of 40)" in r for r in reasons)
        assert any("eval: at most 10 % of the documents may be empty" in reason for reason in reasons)
        assert any("Scripts: Cyrillic" in r and "accepted before" in r for r in reasons)
        assert "example_validator.CHECK.severity=warn" in reasons[-1]
        folder = summary.output("anomalies")
        assert folder is not None
        assert str(folder) in str(summary.exception)
        assert not (folder / "accepted").exists()
        assert "stop: train: at most 10 % of the documents may be empty" in (folder / "anomalies.txt").read_text()
        message = anomalies_pb2.Anomalies.FromString((folder / "Split-train" / "SchemaDiff.pb").read_bytes())
        assert message.anomaly_info["text: empty_documents"].severity == anomalies_pb2.AnomalyInfo.ERROR
    # And the clean one still passes, as it did.
    assert statuses(run(tmp_path, CLEAN)) == ["cached"] * 5


def test_validator_empty_documents_stop_a_first_corpus_too(tmp_path: Path) -> None:
    summary = run(tmp_path, DRIFTED)
    assert summary.status == "failed"
    assert isinstance(summary.exception, Refused)
    assert all("script_drift" not in reason for reason in summary.exception.reasons)


def test_validator_warnings_are_told_once_and_kept(tmp_path: Path, capfd: Any) -> None:
    warn = {"empty_documents": {"severity": "warn"}, "leaked_documents": {"severity": "off"}}
    first = run(tmp_path, DRIFTED, warn)
    told = capfd.readouterr().err
    assert first.status == "succeeded"
    assert "warn: train: at most 10 % of the documents may be empty; 50 % are (20 of 40)." in told
    assert statuses(run(tmp_path, DRIFTED, warn)) == ["cached"] * 5
    assert "warn:" not in capfd.readouterr().err
    folder = first.output("anomalies")
    assert folder is not None
    assert read_record(folder)["accepted"] is True
    assert all(line in told for line in (folder / "anomalies.txt").read_text().splitlines())


def test_validator_corpus_accepted_with_a_warning_is_not_stopped_for_drift_any_more(tmp_path: Path) -> None:
    run(tmp_path, CLEAN)
    assert run(tmp_path, RUSSIAN).status == "failed"
    assert run(tmp_path, RUSSIAN, {"script_drift": {"severity": "warn"}}).status == "succeeded"
    again = run(tmp_path, RUSSIAN)
    assert (again.status, statuses(again)[:4]) == ("succeeded", ["cached"] * 4)


def test_validator_accepted_corpus_becomes_what_the_next_is_compared_with(tmp_path: Path) -> None:
    run(tmp_path, CLEAN)
    run(tmp_path, RUSSIAN, {"script_drift": {"severity": "warn"}})
    more = {**RUSSIAN, "train": [*RUSSIAN["train"], "и ещё один документ на том же языке " * 9]}
    summary = run(tmp_path, more)
    assert summary.status == "succeeded"
    folder = summary.output("anomalies")
    assert folder is not None
    newest, before, first = accepted(tmp_path, "example_validator")
    assert read_record(folder)["baseline"] == before.digest
    assert len({newest.digest, before.digest, first.digest}) == 3


def test_validator_refused_corpus_is_nobodys_baseline(tmp_path: Path) -> None:
    run(tmp_path, CLEAN)
    run(tmp_path, DRIFTED)
    changed = {**CLEAN, "eval": CLEAN["eval"][1:]}
    summary = run(tmp_path, changed)
    folder, own = summary.output("anomalies"), summary.output("statistics")
    assert folder is not None
    assert own is not None
    newest, first = accepted(tmp_path, "example_validator")
    assert read_record(folder)["baseline"] == first.digest
    assert newest.digest == digest(own) == digest(newest.folder)


def test_validator_other_settings_ask_again(tmp_path: Path) -> None:
    run(tmp_path, CLEAN)
    summary = run(tmp_path, CLEAN, {"skew": {"severity": "off"}})
    assert statuses(summary)[2:] == ["cached", "ran", "cached"]


def test_validator_alone_refuses_and_keeps_its_outputs(tmp_path: Path) -> None:
    run(tmp_path, DRIFTED)
    source = f"inline:{json.dumps(DRIFTED)}"
    config = Config.model_validate({"pipeline": {"name": "x"}, "example_gen": {"source": source}})
    summary = runner.run_stage(STAGES, config, tmp_path, name="example_validator")
    assert (summary.status, statuses(summary)) == ("failed", ["failed"])
    assert summary.output("anomalies") is not None
    shown = summary.to_json()
    assert shown["stages"][0]["outputs"] == {"anomalies": str(summary.output("anomalies"))}
    assert "may be empty" in shown["error"]


def test_validator_damaged_record_is_made_anew(tmp_path: Path) -> None:
    first = run(tmp_path, CLEAN)
    folder = first.output("anomalies")
    assert folder is not None
    (folder / "validation.json").write_text("{")
    summary = run(tmp_path, CLEAN)
    assert statuses(summary)[3] == "ran"
    assert read_record(summary.output("anomalies") or tmp_path)["baseline"] is None


def test_baseline_is_the_newest_by_number_not_by_name(tmp_path: Path) -> None:
    for number in (2, 10, 9):
        folder = tmp_path / "example_validator" / str(number) / "anomalies"
        (folder / "accepted").mkdir(parents=True)
        (folder / "validation.json").write_text(json.dumps({"accepted": number != 10, "statistics": f"s{number}"}))
    corpora = accepted(tmp_path, "example_validator")
    assert [corpus.digest for corpus in corpora] == ["s9", "s2"]
    newest = baseline(corpora, "other")
    assert newest is not None
    assert newest.digest == "s9"
    own = baseline(corpora, "s9")
    assert own is not None
    assert own.digest == "s2"
    assert baseline([], "x") is None
