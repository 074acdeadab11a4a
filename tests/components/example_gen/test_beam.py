"""Who reads a corpus leaves no trace: one worker, two processes, another runner, another order of the files."""

import glob
import gzip
import random
from pathlib import Path
from typing import Any

import apache_beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from components.beam_run import ForEach, Meter
from components.example_gen import groups
from components.example_gen.groups import Job, file_pieces, make_groups
from components.example_gen.sources import list_files
from components.example_gen.staging import stage_group
from pipeline.config import BeamConfig, ExampleGenConfig, FieldsConfig
from tests.components.example_gen.corpora import everything, generate, write
from tests.processes import workers_started_by

SETTINGS: dict[str, Any] = {"document": "line", "on_bad_record": "skip"}
SPLITS = {"train": 0.6, "eval": 0.2, "test": 0.2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of lines, plain and compressed, some lines bad, most files divided into several pieces."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(12):
        dice = random.Random(number)
        lines = [f"{number} é {i} ".encode() + b"x" * dice.randrange(60) for i in range(300)]
        lines[dice.randrange(300)] = b"\xff"
        raw = b"\r\n".join(lines)
        write(folder, {f"{number:02}.txt.gz": gzip.compress(raw)} if number % 4 == 0 else {f"{number:02}.txt": raw})
    return folder


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUP_BYTES", 2000)


@pytest.fixture
def reference(corpus: Path, tmp_path: Path, small_groups: None) -> dict[str, bytes]:
    written = everything(generate(tmp_path / "reference", f"text:{corpus}/*", SPLITS, **SETTINGS))
    assert len(written) == 3 * 4 + 2
    assert written["bad_records.jsonl"].count(b"\n") == 12
    return written


def test_example_gen_other_group_sizes_write_the_same(
    corpus: Path, reference: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "GROUP_BYTES", 1 << 20)
    assert everything(generate(tmp_path / "out", f"text:{corpus}/*", SPLITS, **SETTINGS)) == reference


def test_example_gen_files_listed_in_another_order_write_the_same(
    corpus: Path, reference: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(path) for path in corpus.iterdir()]
    random.Random(3).shuffle(paths)
    assert paths != sorted(paths)  # guard
    monkeypatch.setattr(glob, "glob", lambda *_, **__: paths)
    assert everything(generate(tmp_path / "out", f"text:{corpus}/*", SPLITS, **SETTINGS)) == reference


def in_a_process_of_its_own(corpus: Path, out: Path, beam: dict[str, Any]) -> int:
    """Runs the stage where a hanging runner can be killed; returns how many worker processes it started."""
    code = f"""
        from pathlib import Path
        from components.example_gen import groups
        from pipeline.config import BeamConfig
        from tests.components.example_gen.corpora import generate

        groups.GROUP_BYTES = 2000
        beam = BeamConfig.model_validate({beam!r})
        generate(Path({str(out)!r}), "text:{corpus}/*", {SPLITS!r}, beam=beam, **{SETTINGS!r})
    """
    return workers_started_by(code)


def test_example_gen_two_processes_write_the_same(corpus: Path, reference: dict[str, bytes], tmp_path: Path) -> None:
    beam = {"direct_num_workers": 2, "direct_running_mode": "multi_processing"}
    assert in_a_process_of_its_own(corpus, tmp_path / "two", beam) == 2  # guard: there were two
    assert everything(tmp_path / "two") == reference


def test_example_gen_portable_runner_writes_the_same(corpus: Path, reference: dict[str, bytes], tmp_path: Path) -> None:
    beam = {"runner": "PortableRunner", "job_endpoint": "embed", "environment_type": "LOOPBACK"}
    in_a_process_of_its_own(corpus, tmp_path / "portable", beam)
    assert everything(tmp_path / "portable") == reference


def test_example_gen_runner_is_no_part_of_the_fingerprint() -> None:
    from components.example_gen.stage import ExampleGen

    config = ExampleGenConfig(source="inline:x")
    assert (
        ExampleGen(config, BeamConfig()).settings() == ExampleGen(config, BeamConfig(direct_num_workers=2)).settings()
    )


def test_stage_groups_counters_count_what_is_read(corpus: Path, tmp_path: Path, small_groups: None) -> None:
    job = Job(str(tmp_path / "staging"), "line", FieldsConfig())
    files = list_files(f"text:{corpus}/*.txt")
    made = list(make_groups(file_pieces(files, "line")))
    assert len(made) > 20  # guard
    pipeline = apache_beam.Pipeline(options=PipelineOptions([], runner="FnApiRunner"))
    meter = Meter("ExampleGen", str(tmp_path / "no" / "meter"))
    _ = pipeline | apache_beam.Create(made) | ForEach("Stage groups", stage_group, (job, meter.add))
    result = pipeline.run()
    result.wait_until_finish()
    counters = {c.key.metric.name: c.committed for c in result.metrics().query()["counters"]}
    texts = [Path(file.path).read_bytes().decode("utf-8", "ignore").split("\r\n") for file in files]
    good = [line for lines in texts for line in lines if line]  # the bad line of each is empty without its byte
    assert counters == {
        "documents": len(good),
        "characters": sum(map(len, good)),
        "bytes": sum(len(line.encode()) for line in good),
    }
