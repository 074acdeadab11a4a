"""The command `rollback`: which version comes back, what is remembered of it, and what it says when there is none."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from components.pusher.stage import Pusher
from pipeline import artifacts, graph
from pipeline.cli import main
from pipeline.config import ExampleGenConfig
from pipeline.lineage import trace
from pipeline.metadata import MetadataStore
from pipeline.stage import Stage
from tests.components.pusher.models import write_model

ROOT = Path("runs/tiny")
SERVED = ROOT / "serving" / "tiny"


@dataclasses.dataclass(frozen=True)
class Exporter(Stage):
    """A model whose weights are the source, with both blessings."""

    example_gen: ExampleGenConfig
    outputs: ClassVar = {
        "exported_model": artifacts.ExportedModel,
        "blessing": artifacts.ModelBlessing,
        "infra_blessing": artifacts.InfraBlessing,
    }

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        write_model(outputs["exported_model"], self.example_gen.source.encode())
        (outputs["blessing"] / "BLESSED").touch()
        (outputs["infra_blessing"] / "INFRA_BLESSED").touch()


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "stages", lambda config=None: (Exporter, Pusher))
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text("pipeline: {name: tiny}\nexample_gen: {source: 'inline:?'}\n")


def run(model: str, *arguments: str) -> int:
    return main(["run", "--config", "recipe.yaml", "--set", f"example_gen.source=inline:{model}", *arguments])


def rollback(*arguments: str) -> int:
    return main(["rollback", "--model", str(SERVED), *arguments])


def served() -> dict[str, str]:
    """Version → the model it is."""
    weights = {path.parents[1].name: path.read_text() for path in SERVED.glob("*/variables/*.data*")}
    return {version: text.removeprefix("inline:") for version, text in weights.items()}


def test_rollback_serves_the_former_model_as_the_newest_version() -> None:
    run("A")
    run("B")
    assert rollback() == 0
    assert served() == {"1": "A", "2": "B", "3": "A"}


def test_rollback_is_undone_by_no_later_run_of_the_withdrawn_model(capsys: pytest.CaptureFixture[str]) -> None:
    run("A")
    run("B")
    rollback()
    assert run("B") == 3
    assert "rolled back from: version 3" in capsys.readouterr().out
    assert run("A") == 0  # it is served
    assert run("C") == 0
    assert served() == {"1": "A", "2": "B", "3": "A", "4": "C"}


def test_rollback_again_goes_one_model_further_back() -> None:
    for model in "ABC":
        run(model)
    rollback()
    rollback()
    assert served()["4"] == "B"
    assert served()["5"] == "A"


def test_rollback_to_a_version_serves_that_one_even_the_withdrawn() -> None:
    for model in "ABC":
        run(model)
    assert rollback("--to", "1") == 0
    assert rollback("--to", "3") == 0
    assert served() == {"1": "A", "2": "B", "3": "C", "4": "A", "5": "C"}
    assert run("C") == 0


def test_rollback_of_a_version_that_is_not_kept_takes_the_export() -> None:
    run("A", "--set", "pusher.keep=1")
    run("B", "--set", "pusher.keep=1")
    assert served() == {"2": "B"}  # guard
    assert rollback() == 0
    assert served() == {"3": "A"}


def test_rollback_of_an_export_that_is_gone_takes_the_served_version() -> None:
    run("A")
    run("B")
    shutil.rmtree(ROOT / "exporter" / "1")
    assert rollback() == 0
    assert served()["3"] == "A"
    assert run("B") == 3
    assert rollback("--to", "2") == 0  # A is withdrawn as itself, though it came from another folder
    assert run("A") == 3


def test_rollback_is_an_execution_with_lineage_and_a_run() -> None:
    run("A")
    run("B")
    rollback()
    with MetadataStore(ROOT, read_only=True) as store:
        newest = store.newest_execution("pusher")
        last = store.runs()[-1]
    assert newest is not None
    assert newest.inputs["exported_model"].path == (ROOT / "exporter" / "1" / "exported_model").resolve()
    record = json.loads((newest.outputs["pushed_model"].path / "pushed.json").read_text())
    assert (record["destination"], record["version"]) == ("serving/tiny/3", 3)
    assert record["withdrawn"] is not None
    assert (last.config_path, last.state) == ("rollback to version 1", "succeeded")


def test_rollback_json_names_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    run("A")
    run("B")
    capsys.readouterr()
    assert main(["rollback", "--root", str(ROOT), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pushed_model"] == str((SERVED / "3").resolve())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "another model than the served one, 1. Received: none before it"),
        (["--to", "7"], "Received: --to 7"),
        (["--to", "1"], "Those that differ: none"),
    ],
)
def test_rollback_to_nothing_is_bad_usage(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    run("A")
    assert rollback(*arguments) == 2
    assert text in capsys.readouterr().err
    assert served() == {"1": "A"}


def test_rollback_without_a_root_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert rollback() == 2
    assert "a root must hold metadata.sqlite" in capsys.readouterr().err
    assert main(["rollback"]) == 2


def test_rollback_is_of_the_model_that_is_named_whatever_ran_last() -> None:
    run("A")
    run("B")
    for model in "CD":
        run(model, "--root", str(ROOT), "--set", "pipeline.name=other")
    run("E", "--root", str(ROOT), "--set", "pipeline.name=third", "--to", "exporter")
    assert rollback() == 0
    assert served() == {"1": "A", "2": "B", "3": "A"}
    assert sorted(path.name for path in (ROOT / "serving" / "other").glob("[0-9]*")) == ["1", "2"]


def test_rollback_of_a_model_that_was_never_pushed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run("A")
    run("B")
    assert main(["rollback", "--model", str(ROOT / "serving" / "tini")]) == 2
    assert "must be one that this root pushed. Received: none in " in capsys.readouterr().err
    assert sorted(path.name for path in (ROOT / "serving").iterdir()) == ["tiny"]


def test_rollback_writes_a_report_as_every_run_does(capsys: pytest.CaptureFixture[str]) -> None:
    run("A")
    run("B")
    capsys.readouterr()
    assert rollback("--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["report"] == str((ROOT / "reports" / "3" / "report.html").resolve())
    assert Path(summary["report"]).is_file()


def test_rollback_to_the_served_version_of_an_export_that_is_gone_keeps_its_lineage() -> None:
    run("A")
    run("B")
    exported = next(ROOT.glob("exporter/1/exported_model"))
    shutil.rmtree(exported)
    assert rollback() == 0
    traced = trace(SERVED / "3")
    assert traced is not None
    assert [f"{one.stage} {one.id}" for one in traced.before] == ["exporter 1"]
