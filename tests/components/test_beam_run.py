"""Beam's options from the configuration, the runners they name, and the meter."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from components import beam_run
from components.beam_run import Meter, run_pipeline
from pipeline.config import BeamConfig
from tests.components.transform.reference import CASES, everything, run_transform, write_examples

LOCAL = BeamConfig().model_dump()


def write_name(name: str, folder: str, meter: Meter) -> None:
    (Path(folder) / name).write_text(name)
    meter.add(documents=1, characters=len(name), bytes=2 * len(name))


def write_names(names: list[str], folder: Path, options: dict, meter: Meter) -> None:
    run_pipeline(names, "Write" >> beam.Map(write_name, str(folder), meter), options)


@pytest.mark.parametrize("runner", ["DirectRunner", "FnApiRunner"])
def test_run_pipeline_local_runner_does_every_element(tmp_path: Path, runner: str) -> None:
    write_names(["a", "bc"], tmp_path, {**LOCAL, "runner": runner}, Meter("test", "nowhere"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "bc"]


def test_run_pipeline_unknown_option_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Received: beam\.direct_num_worker\. Did you mean 'direct_num_workers'\?"):
        write_names(["a"], tmp_path, {**LOCAL, "direct_num_worker": 2}, Meter("test", "nowhere"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"parallelism": "abc"},
            r"an option must be of its type\. Received: argument --parallelism: invalid int value",
        ),
        ({"runner": "PortableRunner"}, r"PortableRunner must be told where its job service is"),
    ],
)
def test_run_pipeline_options_that_do_not_fit_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write_names(["a"], tmp_path, {**LOCAL, **options}, Meter("test", "nowhere"))
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_config_takes_any_of_beams_options() -> None:
    config = BeamConfig(runner="FlinkRunner", flink_master="localhost:8081", parallelism=2)  # type: ignore[call-arg]
    assert config.model_dump()["flink_master"] == "localhost:8081"


def test_meter_shows_what_was_counted_and_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter("test: write", str(tmp_path / "progress"))
    (tmp_path / "out").mkdir()
    with meter.shown():
        write_names(["a", "bc", "def"], tmp_path / "out", LOCAL, meter)
        assert (tmp_path / "progress").stat().st_size > 0  # guard
    line = capsys.readouterr().err
    assert line.startswith("test: write: 3 documents  6 characters  ")
    assert line.rstrip().endswith(" MB/s")
    assert not (tmp_path / "progress").exists()


def test_meter_that_knows_the_whole_tells_the_time_left_until_it_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beam_run, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(beam_run, "_SECONDS_BETWEEN_LINES", 0)
    meter = Meter("test", str(tmp_path / "progress"), total=1000)
    said = ""
    with meter.shown():
        meter.add(bytes=250)
        for _ in range(1000):
            time.sleep(0.01)
            said += capsys.readouterr().err
            if said:
                break
        # The whole is known about only: an estimate may be left over at the end.
        meter.add(bytes=700)
        monkeypatch.setattr(beam_run, "_SECONDS_BETWEEN_LINES", 1000)
        time.sleep(0.05)
        capsys.readouterr()
    assert re.match(r"test: \d+\.\d MB/s  ETA \d+ s\n", said)
    assert re.fullmatch(r"test: \d+\.\d MB/s\n", capsys.readouterr().err)


def test_meter_file_is_removed_when_the_work_fails(tmp_path: Path) -> None:
    meter = Meter("test", str(tmp_path / "progress"))
    with pytest.raises(ZeroDivisionError), meter.shown():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_meter_without_its_folder_counts_for_beam_alone(tmp_path: Path) -> None:
    Meter("test", str(tmp_path / "elsewhere" / "progress")).add(documents=1)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def job_service() -> Iterator[str]:
    """Address of Beam's own local job service, in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "apache_beam.runners.portability.local_job_service_main", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                try:
                    socket.create_connection(("localhost", port), timeout=1).close()
                    break
                except OSError:
                    continue
            assert process.poll() is None
            yield f"localhost:{port}"
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["37_documents", "empty_documents"])
def test_portable_runner_writes_the_same_bytes_as_the_local_one(tmp_path: Path, job_service: str, name: str) -> None:
    case = CASES[name]
    examples = write_examples(tmp_path / "examples", case.splits)
    portable = BeamConfig(
        runner="PortableRunner",
        job_endpoint=job_service,
        environment_type="LOOPBACK",  # type: ignore[call-arg]
    )
    one = run_transform(examples, tmp_path / "one", **case.settings)
    two = run_transform(examples, tmp_path / "two", **case.settings, beam=portable)
    assert everything(one.graph) == everything(two.graph)
    assert everything(one.examples) == everything(two.examples)
    assert len(everything(one.examples)) > 3  # guard


def test_portable_runner_failure_is_raised(tmp_path: Path, job_service: str) -> None:
    options = {**LOCAL, "runner": "PortableRunner", "job_endpoint": job_service, "environment_type": "LOOPBACK"}
    with pytest.raises(RuntimeError, match="FAILED"):
        write_names(["a"], tmp_path / "missing", options, Meter("test", "nowhere"))
