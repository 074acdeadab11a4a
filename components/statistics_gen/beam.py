"""The Beam pass of StatisticsGen: blocks → counts of each block, and counted strings merged by partition.

An element is a block's byte range or the name of a partition; what is counted stays in files. TensorFlow stays out of
the workers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import apache_beam as beam
import numpy as np

from components.beam_run import Meter
from components.documents import FIELDS, Documents
from components.statistics_gen.blocks import Block
from components.statistics_gen.counting import count_fields, count_text
from components.statistics_gen.tally import PARTITIONS, merge_partition, write_tally

WORDS = "words"


@dataclasses.dataclass(frozen=True)
class CountJob:
    """What all blocks have in common.

    Attributes:
        folders: Split → its folder in the Examples artifact.
        work: An existing folder for the results, see `block_file` and `partition_file`.
        keep: How many of the most frequent strings of a partition are kept.
        meter: Counts what is done.
    """

    folders: Mapping[str, str]
    work: str
    keep: int
    meter: Meter


def block_file(work: Path, number: int) -> Path:
    """Counts of one block, as JSON."""
    return work / f"block-{number:06}.json"


def partition_file(work: Path, feature: str, partition: int) -> Path:
    """Merged tallies of one partition of the words, or of a field's values, as JSON: split → tally."""
    return work / feature / f"partition-{partition:02}.json"


def field_feature(name: str) -> str:
    """The name of a field's folder: whatever the field is called, a valid and different one for each."""
    return f"field-{hashlib.blake2b(name.encode('utf-8'), digest_size=12).hexdigest()}"


def _tally_file(work: Path, feature: str, split: str, number: int) -> Path:
    return work / feature / f"Split-{split}" / f"block-{number:06}.tally"


def count_block(block: Block, job: CountJob) -> Iterator[tuple[str, tuple[str, int]]]:
    """Counts one block, writes its results, and yields (`FEATURE/PARTITION`, (split, number)) for each tally."""
    work, documents = Path(job.work), Documents(Path(job.folders[block.split]))
    if block.kind == "fields":
        features = _count_fields(block, documents, work)
    else:
        features = _count_text(block, documents, work, job.meter)
    for feature in features:
        for partition in range(PARTITIONS):
            yield f"{feature}/{partition}", (block.split, block.number)


def _count_text(block: Block, documents: Documents, work: Path, meter: Meter) -> list[str]:
    with documents.text.open("rb") as file:
        file.seek(block.start)
        text = file.read(block.stop - block.start).decode("utf-8")
    if block.kind == "part":
        starts = np.asarray([0, len(text)])
    else:
        starts = documents.offsets[block.first : block.last + 1, 1] - documents.offsets[block.first, 1]
    counts = count_text(text, starts.tolist())
    result = {"characters": sorted(counts.characters.items()), "documents": counts.documents}
    block_file(work, block.number).write_text(json.dumps(result), encoding="utf-8")
    write_tally(_tally_file(work, WORDS, block.split, block.number), counts.words)
    finished = 0 if block.kind == "part" and block.stop < documents.offsets[block.last, 0] else block.last - block.first
    meter.add(documents=finished, characters=len(text), bytes=block.stop - block.start)
    return [WORDS]


def _count_fields(block: Block, documents: Documents, work: Path) -> list[str]:
    fields = count_fields(_lines(documents.folder / FIELDS, block.start, block.stop))
    result = {
        name: {"types": counts.types, "characters": counts.characters, "numbers": dataclasses.asdict(counts.numbers)}
        for name, counts in fields.items()
    }
    block_file(work, block.number).write_text(json.dumps(result), encoding="utf-8")
    for name, counts in fields.items():
        write_tally(_tally_file(work, field_feature(name), block.split, block.number), counts.values)
    return [field_feature(name) for name in fields]


def _lines(path: Path, start: int, stop: int) -> list[bytes]:
    """The lines whose first byte lies in `start` … `stop`."""
    with path.open("rb") as file:
        if start:
            file.seek(start - 1)
            start = start - 1 + len(file.readline())
        # The last line may end after the block.
        raw = file.read(max(stop - start, 0))
        if raw and not raw.endswith(b"\n"):
            raw += file.readline()
    return raw.splitlines()


def merge(element: tuple[str, Iterable[tuple[str, int]]], job: CountJob) -> None:
    """Merges one partition of one feature over all its blocks, and writes the result."""
    key, blocks = element
    feature, _, partition = key.partition("/")
    work = Path(job.work)
    files: dict[str, list[Path]] = {}
    for split, number in sorted(blocks):
        files.setdefault(split, []).append(_tally_file(work, feature, split, number))
    tallies = merge_partition(files, int(partition), job.keep)
    partition_file(work, feature, int(partition)).write_text(json.dumps(tallies), encoding="utf-8")


@dataclasses.dataclass(eq=False)
class CountBlocks(beam.PTransform):
    """Blocks → a file of counts for each, and a file of tallies for each partition of the words and of each field."""

    job: CountJob

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[None]:
        return (
            blocks
            # Reshuffle lets the workers share the blocks instead of fusing the step with Create.
            | "Spread blocks" >> beam.Reshuffle()
            | "Count block" >> beam.FlatMap(count_block, self.job).with_output_types(tuple[str, tuple[str, int]])
            | "Gather partitions" >> beam.GroupByKey()
            | "Merge partition" >> beam.Map(merge, self.job).with_output_types(type(None))
        )
