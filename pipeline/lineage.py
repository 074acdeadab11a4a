"""What made an artifact, back to the corpus, and what it was used in: the lineage store read as a graph."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.metadata import FILE_NAME, Execution, MetadataStore, StoredArtifact

PUSHED = "pushed.json"  # in a PushedModel: which folder of the root it became


@dataclasses.dataclass(frozen=True)
class Lineage:
    """Where an artifact comes from and went.

    Attributes:
        root: Root folder.
        artifact: The artifact asked for.
        maker: What made it.
        before: What made what it was made from, oldest first.
        after: What it was used in, and what was made of that, oldest first.
        runs: Execution → the runs that it was part of.
    """

    root: Path
    artifact: StoredArtifact
    maker: Execution
    before: tuple[Execution, ...]
    after: tuple[Execution, ...]
    runs: Mapping[int, Sequence[int]]


def trace(path: Path, root: Path | None = None) -> Lineage | None:
    """Traces an artifact.

    Args:
        path: Its folder, a file in it, the folder of its execution (the first output then), or a pushed version.
        root: Of the pipeline; None if the artifact lies in it.

    Returns:
        None if no execution of the root made what lies there.

    Raises:
        UsageError: It lies in no root.
    """
    root = root_of(path if root is None else root)
    with MetadataStore(root, read_only=True) as store:
        executions, runs = store.executions(), store.runs_of()
    folder = path.resolve()
    folder = folder.parent if folder.is_file() else folder
    made = {artifact.path: (maker, artifact) for maker in executions for artifact in maker.outputs.values()}
    places = [_pushed(root, folder, made), folder, *folder.parents]
    found = next((made[place] for place in places if place in made), None)
    if found is None:  # the folder of an execution
        found = next((pair for place, pair in made.items() if place.parent == folder), None)
    if found is None:
        return None
    maker, artifact = found
    return Lineage(root, artifact, maker, made_before([maker], executions), _after(artifact, executions), runs)


def made_before(makers: Iterable[Execution], executions: Iterable[Execution]) -> tuple[Execution, ...]:
    """What made that which the given ones read, back to the beginning, oldest first.

    Args:
        makers: Where to begin.
        executions: All of the root.
    """
    outputs = [(artifact, one) for one in executions for artifact in one.outputs.values()]
    of = {artifact.path: one for artifact, one in outputs}
    # A served version that stands for an export that is gone, and whatever else has its bytes.
    with_bytes = {artifact.digest: one for artifact, one in outputs}
    found: dict[int, Execution] = {}
    waiting = [read for maker in makers for read in maker.inputs.values()]
    while waiting:
        read = waiting.pop()
        maker = of.get(read.path) or with_bytes.get(read.digest)
        if maker is not None and maker.id not in found:  # None: a folder from outside
            found[maker.id] = maker
            waiting += maker.inputs.values()
    return tuple(found[number] for number in sorted(found))


def root_of(path: Path) -> Path:
    """The root folder that a path lies in.

    Raises:
        UsageError: It is in none.
    """
    folder = path.resolve()
    for place in (folder, *folder.parents):
        if (place / FILE_NAME).is_file():
            return place
    raise UsageError(
        f"Lineage: PATH must lie in the root folder of a pipeline, which holds {FILE_NAME}. Received: {str(path)!r}. "
        "Of a version that was pushed elsewhere, name the root with --root."
    )


Made = Mapping[Path, tuple[Execution, StoredArtifact]]


def _pushed(root: Path, folder: Path, made: Made) -> Path | None:
    """The artifact that became a pushed version, `<root>/serving/<name>/<version>`: the newest, if that was removed."""
    places = [place for place, (_, artifact) in made.items() if artifact.type == "PushedModel"]
    for place in reversed(places):
        record = place / PUSHED
        if record.is_file() and folder.is_relative_to(root / json.loads(record.read_text("utf-8"))["destination"]):
            return place
    return None


def _after(artifact: StoredArtifact, executions: Iterable[Execution]) -> tuple[Execution, ...]:
    reached, found = {(artifact.path, artifact.digest)}, []
    for execution in executions:  # oldest first: whoever reads an artifact came after its maker
        if any((read.path, read.digest) in reached for read in execution.inputs.values()):
            found.append(execution)
            reached |= {(written.path, written.digest) for written in execution.outputs.values()}
    return tuple(found)
