"""Answers all records of files with a served model, by any number of workers: what `bulk` on the command line calls."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from components.beam_run import Meter, run_pipeline
from components.bulk_inferrer.call import Call, describe
from components.bulk_inferrer.handler import Shard, SignatureHandler
from components.bulk_inferrer.output import FORMATS, texts
from components.bulk_inferrer.records import Bad, Layout, Piece, divide, read
from components.example_gen.blocks import is_compressed
from components.workspace import locked
from pipeline.errors import UsageError
from pipeline.files import sync_folder

SUMMARY, BAD = "summary.json", "bad_records.jsonl"
_COUNTS = "counts"


def infer(
    model: Path,
    files: Sequence[str],
    output: Path,
    *,
    signature: str = "serving_default",
    format: str = "jsonl",
    field: str | None = None,
    key: str | None = None,
    seed: int | None = None,
    options: Mapping[str, str] | None = None,
    workers: int = 1,
    batch_size: int = 128,
    longest: int = 100_000,
) -> dict[str, Any]:
    """Answers every record; the bytes written do not depend on the workers, and the answers not on the batches.

    Args:
        model: Folder of the served model or of one of its versions.
        files: Of UTF-8; a line is a record, or a JSON object that has it.
        output: Folder that is made: `answers-00000-of-0000N.jsonl` or `.tfrecord` in the order of the records,
            `bad_records.jsonl` if there are any, `summary.json`. It appears whole or not at all.
        signature: Which answers are wanted.
        format: `jsonl` or `tfrecord`.
        field: Field of JSON objects that is the record; None: lines are.
        key: Field that names a record; None: its file and line do.
        seed: What each record's seed is made from, with its key.
        options: Other inputs of the signature, as text.
        workers: Processes.
        batch_size: Records that the model is given at a time, at most.
        longest: Bytes that a record may have.

    Returns:
        What `summary.json` says.

    Raises:
        UsageError: An argument is not what it should be.
    """
    _check(files, output, field, key)
    call = describe(model, signature, options or {}, seed)
    started = time.monotonic()
    with _new_folder(output) as folder:
        shards = divide(files)
        (folder / _COUNTS).mkdir()
        job = Job(call, Layout(field, key, longest), format, batch_size, len(shards), str(folder))
        meter = Meter("bulk", str(folder / "progress"), sum(map(_size, shards)))
        runner: dict[str, Any] = {"runner": "FnApiRunner"}
        if workers > 1:
            runner |= {"direct_num_workers": workers, "direct_running_mode": "multi_processing"}
        with meter.shown():
            run_pipeline(enumerate(shards), Infer(job, meter), runner)
        counts = [json.loads(path.read_text("utf-8")) for path in sorted((folder / _COUNTS).iterdir())]
        shutil.rmtree(folder / _COUNTS)
        summary = _summary(job, files, counts, time.monotonic() - started)
        bad = "".join(json.dumps(each, ensure_ascii=False) + "\n" for shard in counts for each in shard["bad"])
        if bad:
            (folder / BAD).write_text(bad, "utf-8", newline="\n")
        (folder / SUMMARY).write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", "utf-8")
    return summary


def _check(files: Sequence[str], output: Path, field: str | None, key: str | None) -> None:
    if output.exists():
        raise UsageError(
            f"bulk: --output must not exist yet. Received: {str(output)!r}. Remove it, or name another folder."
        )
    if key is not None and field is None:
        raise UsageError(
            f"bulk: --key must come with --field. Received: --key {key}. Add --field NAME, or leave it out."
        )
    for name in files:
        if not Path(name).is_file():
            raise UsageError(f"bulk: FILE must be an existing file. Received: {name!r}.")
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise UsageError(f"bulk: FILE must have a name in UTF-8. Received: {name!r}. Rename it, with `convmv` say.")
        if is_compressed(name):
            raise UsageError(f"bulk: FILE must not be compressed. Received: {name!r}. Decompress it first.")
        if field is None and name.endswith(".jsonl"):
            raise UsageError(
                f"bulk: --field must say which field of JSON lines is the record. Received: {name!r} without it. "
                "Add --field NAME."
            )
    if len(set(files)) < len(files):
        raise UsageError(f"bulk: FILE must be given once. Received: {' '.join(files)!r}. Leave out what is repeated.")


@contextlib.contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A folder that becomes `output` when the body is done, and is gone if it fails."""
    output.parent.mkdir(parents=True, exist_ok=True)
    workplace = output.with_name(f".{output.name}.partial")
    with locked(workplace, "bulk: one process at a time may write an output"):
        try:
            folder = workplace / output.name
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            folder.mkdir()
            yield folder
            folder.rename(output)
            sync_folder(output.parent)
        finally:
            shutil.rmtree(workplace)


def _summary(job: Job, files: Sequence[str], counts: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    answered, bad = sum(each["answered"] for each in counts), sum(len(each["bad"]) for each in counts)
    tokens = sum(each["tokens"] for each in counts)
    call = job.call
    return {
        "model": str(call.folder),
        "signature": call.signature,
        "options": dict(call.options),
        "seed": call.seed,
        "files": list(files),
        "read": answered + bad,
        "answered": answered,
        "bad": bad,
        "tokens": tokens,
        "seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
        **next(({"classes": each["classes"]} for each in counts if each["classes"]), {}),
    }


# ---- The pipeline ---------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Job:
    """What all shards have in common."""

    call: Call
    layout: Layout
    format: str
    batch_size: int
    shards: int
    folder: str


@dataclasses.dataclass(eq=False)
class Infer(beam.PTransform):
    """Numbered shards of lines → files of answers."""

    job: Job
    meter: Meter

    def expand(self, shards: beam.PCollection[tuple[int, list[Piece]]]) -> beam.PCollection[None]:
        return (
            shards
            # Reshuffle lets the workers share the shards instead of fusing all steps with Create.
            | "Spread" >> beam.Reshuffle()
            | "Read records" >> beam.Map(read_shard, self.job.layout).with_output_types(Shard)
            | "Infer" >> RunInference(SignatureHandler(self.job.call, self.job.batch_size))
            | "Write answers" >> beam.Map(write_shard, self.job, self.meter).with_output_types(type(None))
        )


def read_shard(numbered: tuple[int, list[Piece]], layout: Layout) -> Shard:
    """Reads the records of a shard."""
    number, pieces = numbered
    return Shard(number, [record for piece in pieces for record in read(piece, layout)], _size(pieces))


def _size(pieces: Iterable[Piece]) -> int:
    return sum(piece.stop - piece.start for piece in pieces)


def write_shard(shard: Shard, job: Job, meter: Meter) -> None:
    """Writes the answers of a shard, and what the summary needs of it."""
    to_bytes, suffix = FORMATS[job.format]
    folder = Path(job.folder)
    rows = [answer for answer in shard.answers if not isinstance(answer, Bad)]
    answers = b"".join(map(to_bytes, rows))
    _write(folder / f"answers-{shard.number:05d}-of-{job.shards:05d}.{suffix}", answers)
    counts = {
        "answered": len(rows),
        "tokens": shard.tokens,
        "bad": [answer._asdict() for answer in shard.answers if isinstance(answer, Bad)],
        "classes": texts(shard.classes),
    }
    _write(folder / _COUNTS / f"{shard.number:05d}", json.dumps(counts).encode())
    meter.add(documents=len(rows), tokens=shard.tokens, bytes=shard.size)


def _write(path: Path, content: bytes) -> None:
    # The name is the worker's own: a retried worker must not write into the same file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(path)
