"""Garbage collection: what goes, what stays, and that nobody else is at it."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline import collect as collect_module
from pipeline import runner
from pipeline.cli import main
from pipeline.collect import collect
from pipeline.errors import UsageError
from pipeline.lineage import trace
from pipeline.metadata import MetadataStore
from tests.pipeline import fakes
from tests.pipeline.children import started

RUN = """
import pathlib, sys
from pipeline import runner
from tests.pipeline import fakes
fakes.HOOKS["trainer"] = lambda: (print("in trainer", flush=True), sys.stdin.readline())
print(runner.run(fakes.STAGES, fakes.config(seed=9), pathlib.Path(sys.argv[1])).status, flush=True)
"""


def run(root: Path, seed: int) -> None:
    fakes.RAN.clear()
    assert runner.run(fakes.STAGES, fakes.config(seed=seed), root).status == "succeeded"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """example_gen 1, and trainer, evaluator, pusher 2 to 4, 5 to 7 and 8 to 10, of three seeds."""
    for seed in range(3):
        run(tmp_path / "root", seed)
    return tmp_path / "root"


def folders(root: Path) -> set[int]:
    return {int(file.parent.name) for file in root.glob("*/*/execution.json")}


def names(root: Path, keep: int) -> set[str]:
    return {found.path.relative_to(root).as_posix() for found in collect(root, keep, delete=False)}


def test_collect_keeps_the_newest_of_each_stage_and_what_they_were_made_from(root: Path) -> None:
    collect(root, keep=1, delete=True)
    assert folders(root) == {1, 8, 9, 10}  # the corpus is old, but the newest model was made from it


def test_collect_two_keeps_two(root: Path) -> None:
    collect(root, keep=2, delete=True)
    assert folders(root) == {1, 5, 6, 7, 8, 9, 10}


def test_collect_ancestors_of_an_older_output_that_is_kept_are_kept(root: Path) -> None:
    # Newest example_gen and trainer are of a run that went no further; the newest push was made from older ones.
    runner.run(fakes.STAGES, fakes.config(source="inline:other"), root, to_stage="trainer")
    collect(root, keep=1, delete=True)
    assert folders(root) == {1, 8, 9, 10, 11, 12}


def test_collect_execution_whose_outputs_are_gone_does_not_count_as_newest(root: Path) -> None:
    shutil.rmtree(root / "pusher" / "10" / "pushed_model")
    assert names(root, keep=1) >= {"pusher/4", "pusher/10"}
    assert not names(root, keep=1) & {"pusher/7", "trainer/5", "trainer/8"}


def test_collect_more_than_there_are_keeps_all(root: Path) -> None:
    assert collect(root, keep=3, delete=True) == []
    assert folders(root) == set(range(1, 11))


def test_collect_logs_go_with_their_executions(root: Path) -> None:
    collect(root, keep=1, delete=True)
    assert sorted(path.name for path in (root / "logs").iterdir()) == [
        "evaluator-9.log",
        "example_gen-1.log",
        "pusher-10.log",
        "trainer-8.log",
    ]


def test_collect_what_a_run_found_done_last_counts_as_newest(root: Path) -> None:
    run(root, seed=0)
    assert fakes.RAN == []
    collect(root, keep=1, delete=True)
    assert folders(root) == {1, 2, 3, 4}


def test_collect_logs_of_failures_go_once_the_stage_was_done(root: Path) -> None:
    def fail() -> None:
        raise RuntimeError("too bad")

    fakes.HOOKS["trainer"] = fail
    try:
        assert runner.run(fakes.STAGES, fakes.config(seed=3), root).status == "failed"  # 11
        del fakes.HOOKS["trainer"]
        run(root, seed=3)  # 12 to 14
        fakes.HOOKS["trainer"] = fail
        assert runner.run(fakes.STAGES, fakes.config(seed=4), root).status == "failed"  # 15: nobody has mended that yet
    finally:
        fakes.HOOKS.clear()
    assert (root / "logs" / "trainer-11.log").is_file()
    collect(root, keep=1, delete=True)
    assert sorted(path.name for path in (root / "logs").glob("trainer-*")) == ["trainer-12.log", "trainer-15.log"]


def test_collect_without_delete_lists_the_same_and_removes_nothing(root: Path) -> None:
    before = sorted(root.rglob("*"))
    listed = collect(root, keep=1, delete=False)
    assert sorted(root.rglob("*")) == before
    assert listed == collect(root, keep=1, delete=True)
    assert not any(found.path.exists() for found in listed)


def test_collect_sizes_are_bytes_of_the_files(root: Path) -> None:
    sizes = {found.path: found.size for found in collect(root, keep=1, delete=False)}
    folder = root / "trainer" / "2"
    expected = len((folder / "model" / "model.json").read_bytes()) + len((folder / "execution.json").read_bytes())
    assert sizes[folder] == expected


def test_collect_leaves_nothing_behind(root: Path) -> None:
    collect(root, keep=1, delete=True)
    assert list((root / ".tmp").iterdir()) == []


def test_collect_lineage_still_knows_what_is_gone(root: Path) -> None:
    collect(root, keep=1, delete=True)
    found = trace(root / "trainer" / "2" / "model")
    assert found is not None
    assert [one.id for one in found.after] == [3, 4]


def test_collect_twice_finds_nothing_more(root: Path) -> None:
    collect(root, keep=1, delete=True)
    assert collect(root, keep=1, delete=True) == []


def test_run_makes_again_what_was_collected(root: Path) -> None:
    collect(root, keep=1, delete=True)
    run(root, seed=2)
    assert fakes.RAN == []
    run(root, seed=0)
    assert fakes.RAN == ["trainer", "evaluator", "pusher"]


def test_collect_while_a_run_is_going_on_is_refused(root: Path) -> None:
    with started(RUN, root) as child:
        assert child.hear() == "in trainer"
        with pytest.raises(UsageError, match=r"must not be in use\. Received: a run or another command is at it"):
            collect(root, keep=1, delete=True)
        assert folders(root) == set(range(1, 11))
        child.tell()
        assert child.hear() == "succeeded"


def test_collect_without_delete_beside_a_run_lists(root: Path) -> None:
    with started(RUN, root) as child:
        assert child.hear() == "in trainer"
        assert "trainer/2" in names(root, keep=1)


def test_run_during_collection_is_refused(root: Path) -> None:
    with (
        MetadataStore(root, alone=True),
        pytest.raises(UsageError, match=r"Received: garbage collection is at it\. Wait until it has ended"),
    ):
        run(root, seed=0)


def test_collect_stopped_in_the_middle_is_repaired_by_the_next_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(path: Path) -> None:
        (path / "execution.json").unlink()  # half of it
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(collect_module.shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            collect(root, keep=1, delete=True)
    assert len(list((root / ".tmp").iterdir())) == 1
    run(root, seed=0)
    assert fakes.RAN == ["trainer"]  # the one that went; it made the same bytes as before
    assert list((root / ".tmp").iterdir()) == []


def test_collect_stopped_between_a_log_s_renaming_and_removal_is_repaired_by_the_next_run(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def stopped(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith("garbage-"):
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stopped)
        with pytest.raises(KeyboardInterrupt):
            collect(root, keep=1, delete=True)
    assert [path.is_file() for path in (root / ".tmp").iterdir()] == [True]
    run(root, seed=2)
    assert list((root / ".tmp").iterdir()) == []


def test_collect_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be the root folder of a pipeline"):
        collect(tmp_path, keep=1, delete=True)
    assert list(tmp_path.iterdir()) == []


# ---- On the command line --------------------------------------------------------------------------------------------


def test_gc_command_lists_first_and_removes_when_asked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--root", str(root), "--keep", "1"]) == 0
    out = capsys.readouterr().out
    assert "trainer/2" in out
    assert "repeat the command with --delete" in out
    assert (root / "trainer" / "2").is_dir()
    assert main(["gc", "--root", str(root), "--keep", "1", "--delete"]) == 0
    assert " removed." in capsys.readouterr().out
    assert not (root / "trainer" / "2").exists()


def test_gc_command_json_says_what_and_how_much(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--root", str(root), "--keep", "2", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["deleted"] is False
    assert {found["path"] for found in values["garbage"]} >= {"trainer/2", "evaluator/3", "logs/pusher-4.log"}
    assert values["bytes"] == sum(found["bytes"] for found in values["garbage"]) > 0


def test_gc_command_keep_none_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--root", str(root), "--keep", "0", "--delete"]) == 2
    assert "--keep must be > 0. Received: 0." in capsys.readouterr().err
    assert folders(root) == set(range(1, 11))
