"""The same bytes from every engine that runs here, and from files listed in any order."""

import random
from pathlib import Path

import pytest

from tests.end_to_end.command_line import output, run_json

STAGES = {
    "example_gen": ["examples"],
    "statistics_gen": ["statistics"],
    "schema_gen": ["schema"],
    "transform": ["transform_graph", "transformed_examples"],
}
TWO_PROCESSES = ["--set", "beam.direct_num_workers=2", "--set", "beam.direct_running_mode=multi_processing"]
PORTABLE = ["--set", "beam.runner=PortableRunner", "--set", "beam.job_endpoint=embed"]
PORTABLE += ["--set", "beam.environment_type=LOOPBACK"]


def write_corpus(folder: Path, names: list[str]) -> Path:
    """Files of some blocks in all, written in the order of `names`."""
    folder.mkdir()
    for name in names:
        words = random.Random(name).choices(["tö", "be", "—", "or", "not\n", "𝄞", "nöt,\n\n", "to"], k=40_000)
        (folder / name).write_text(" ".join(words), encoding="utf-8", newline="")
    return folder


def files_of(root: Path, corpus: Path, *options: str) -> dict[str, bytes]:
    """Runs ExampleGen to Transform and returns every file they wrote."""
    source = ["--set", f"example_gen.source=text:{corpus}/*.txt"]
    summary = run_json("--config", "quickstart", "--root", root, "--to", "transform", *source, *options)
    files = {}
    for stage, keys in STAGES.items():
        for key in keys:
            folder = output(summary, stage, key)
            files |= {f"{key}/{path.relative_to(folder)}": path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items()}


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [f"{i:02}.txt" for i in range(12)]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("one_process")
    corpus = write_corpus(folder / "corpus", names)
    return corpus, files_of(folder / "root", corpus)


def test_one_process_writes_blocks_enough_to_share(one_process: tuple[Path, dict[str, bytes]]) -> None:
    files = one_process[1]  # guard
    assert len(files["examples/Split-train/documents.txt"]) > 4 * (256 << 10)
    assert sum("lane-" in name for name in files) == 64 + 2


@pytest.mark.parametrize(
    "options",
    [pytest.param(TWO_PROCESSES, marks=pytest.mark.slow), PORTABLE],
    ids=["two processes", "PortableRunner"],
)
def test_engine_writes_the_bytes_of_one_process(
    tmp_path: Path, one_process: tuple[Path, dict[str, bytes]], options: list[str]
) -> None:
    corpus, expected = one_process
    files = files_of(tmp_path / "root", corpus, *options)
    assert sorted(files) == sorted(expected)
    assert [name for name in files if files[name] != expected[name]] == []


def test_files_made_in_another_order_give_the_same_bytes(
    tmp_path: Path, one_process: tuple[Path, dict[str, bytes]], names: list[str]
) -> None:
    files = files_of(tmp_path / "root", write_corpus(tmp_path / "corpus", names[::-1]))
    assert files == one_process[1]
