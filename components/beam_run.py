"""Runs one Beam pipeline under the options of the configuration, and shows how far it is."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from components.watchdog import call_with_workers
from pipeline.errors import did_you_mean

_TICK = struct.Struct("<qqqq")
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_LINES = 15.0


@dataclasses.dataclass(frozen=True)
class Meter:
    """Counts documents, characters, tokens and bytes from any worker: as Beam counters, and in a file for the screen.

    Attributes:
        label: What is done, for people and as the counters' namespace.
        path: A file that workers and driver share. Workers on a machine that lacks its folder count for Beam alone.
        total: Bytes of all the work, for the time that is left; 0 if that is not known.
    """

    label: str
    path: str
    total: int = 0

    def add(self, documents: int = 0, characters: int = 0, tokens: int = 0, bytes: int = 0) -> None:
        """Counts work that is done."""
        amounts = (documents, characters, tokens, bytes)
        for name, amount in zip(("documents", "characters", "tokens", "bytes"), amounts, strict=True):
            if amount:
                Metrics.counter(self.label, name).inc(amount)
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return
        try:
            os.write(file, _TICK.pack(*amounts))  # short and appended, so never torn
        finally:
            os.close(file)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Shows the counts while the body runs: live on a terminal, else a line now and then; the file is removed."""
        path = Path(self.path)
        path.touch()
        console = Console(stderr=True, highlight=False)
        spinner = Progress(SpinnerColumn(), TextColumn("{task.description}"), console=console, transient=True)
        done = threading.Event()
        started = time.monotonic()

        def figures(ended: bool = False) -> str:
            *counts, size = map(sum, zip(*_TICK.iter_unpack(_whole(path.read_bytes())), strict=True))
            units = ("documents", "characters", "tokens")
            done = "".join(f"{n:,} {unit}  " for n, unit in zip(counts, units, strict=True) if n)
            seconds = max(time.monotonic() - started, 1e-3)
            left = f"  ETA {seconds * (self.total - size) / size:.0f} s" if 0 < size < self.total and not ended else ""
            return f"{self.label}: {done}{size / 1e6 / seconds:,.1f} MB/s{left}"

        def show() -> None:
            last_line = started
            with spinner if console.is_terminal else contextlib.nullcontext():
                task = spinner.add_task(self.label)
                while not done.wait(_SECONDS_BETWEEN_LOOKS):
                    if not path.stat().st_size:
                        continue
                    spinner.update(task, description=figures())
                    if not console.is_terminal and time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                        last_line = time.monotonic()
                        console.print(figures(), markup=False)

        watcher = threading.Thread(target=show, daemon=True)
        watcher.start()
        try:
            yield
            if path.stat().st_size:
                console.print(figures(ended=True), markup=False)
        finally:
            done.set()
            watcher.join()
            path.unlink()


def _whole(ticks: bytes) -> bytes:
    return ticks[: len(ticks) - len(ticks) % _TICK.size]


@dataclasses.dataclass(eq=False)
class ForEach(beam.PTransform):
    """Specifications → what a function does with each, on any worker.

    Attributes:
        name: Of the step, in Beam's graph and errors.
        function: Called with an element and the arguments; what it returns is dropped.
        arguments: What all elements have in common.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def expand(self, elements: beam.PCollection[Any]) -> beam.PCollection[None]:
        return (
            elements
            # Reshuffle lets the workers share the elements instead of fusing the step with Create.
            | "Spread" >> beam.Reshuffle()
            | self.name >> beam.Map(self.function, *self.arguments).with_output_types(Any)
        )


def run_pipeline(elements: Iterable[Any], transform: beam.PTransform, options: Mapping[str, Any]) -> None:
    """Applies one transform to a list of elements and waits for it.

    Args:
        elements: Small specifications; they travel inside the pipeline.
        transform: What to do with them.
        options: Beam's pipeline options under Beam's names, the `runner` among them.

    Raises:
        ValueError: Beam has no option of a name, or a value is not of its type.
        RuntimeError: A worker process died, or the pipeline did not end as it should.
    """
    options = dict(options)
    _check(options)
    # Beam's own DirectRunner may start by downloading a binary; FnApiRunner is the one it falls back to.
    if options["runner"] == "DirectRunner":
        options["runner"] = "FnApiRunner"
    if options["runner"] == "FnApiRunner" and options.get("direct_running_mode") == "multi_processing":
        call_with_workers(_run_here, elements, transform, options)
    else:
        _run_here(elements, transform, options)


def _run_here(elements: Iterable[Any], transform: beam.PTransform, options: Mapping[str, Any]) -> None:
    with beam.Pipeline(options=PipelineOptions.from_dictionary(dict(options))) as pipeline:
        _ = pipeline | "Create" >> beam.Create(list(elements), reshuffle=False) | transform


def _check(options: Mapping[str, Any]) -> None:
    known = PipelineOptions([]).get_all_options()  # without, Beam reads our command line
    for name in options:
        if name not in known:
            raise ValueError(
                f"Beam: an option must be one of apache_beam's pipeline options. Received: beam.{name}."
                f"{did_you_mean(name, known)} See `PipelineOptions` in Beam's documentation."
            )
    if options["runner"] == "PortableRunner" and not options.get("job_endpoint"):
        raise ValueError(
            "Beam: PortableRunner must be told where its job service is. Received: beam.job_endpoint=None. "
            "Set it to HOST:PORT."
        )
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # Beam reads its options as a command line does, and ends the process
            PipelineOptions.from_dictionary(dict(options)).get_all_options()
    except SystemExit as error:
        reason = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise ValueError(
            f"Beam: an option must be of its type. Received: {reason}. Correct the section beam."
        ) from error
