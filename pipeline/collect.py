"""Garbage collection: removes the outputs of executions that neither the newest ones nor these were made from.

What a later run decides by stays: the last blessed models, and the records of what was pushed and rolled back from.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from components.push_history import pushes
from components.resolver import latest_blessed_model
from pipeline.errors import UsageError
from pipeline.files import TEMPORARY, size_of
from pipeline.metadata import FILE_NAME, Execution, MetadataStore
from pipeline.stage_log import FOLDER as LOGS


@dataclasses.dataclass(frozen=True)
class Garbage:
    """What can go.

    Attributes:
        path: A folder of an execution, or a log.
        size: Bytes.
    """

    path: Path
    size: int


def collect(root: Path, keep: int, delete: bool) -> list[Garbage]:
    """Finds the outputs that nothing kept was made from, and removes them if asked to. Lineage still knows of them.

    Args:
        root: Root folder.
        keep: Of each stage, so many executions are kept, those that runs used last, and whatever they were made from.
        delete: Removes it; nobody else may use the root then.

    Raises:
        UsageError: There is no store; a run is going on.
    """
    if not (root / FILE_NAME).is_file():
        raise UsageError(
            f"gc: --root must be the root folder of a pipeline. Received: {str(root)!r}, without {FILE_NAME}."
        )
    with MetadataStore(root, read_only=not delete, alone=delete) as store:
        garbage = _find(store.root, store.executions(), store.runs_of(), keep)
        for number, found in enumerate(garbage if delete else ()):
            # Renamed first: half a folder must not look like an output. The next run removes what is left here.
            aside = store.root / TEMPORARY / f"garbage-{os.getpid()}-{number}"
            found.path.rename(aside)
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
    return garbage


def _find(root: Path, executions: list[Execution], runs_of: Mapping[int, Sequence[int]], keep: int) -> list[Garbage]:
    makers = {artifact.path: one for one in executions for artifact in one.outputs.values()}
    newest: dict[str, list[Execution]] = {}
    # The newest are those that a run used last, be it that it found them done.
    for one in sorted(executions, key=lambda one: (max(runs_of.get(one.id, (0,))), one.id), reverse=True):
        if all(artifact.path.is_dir() for artifact in one.outputs.values()):
            newest.setdefault(one.stage, []).append(one)
    waiting = [one for found in newest.values() for one in found[:keep]]
    # The last blessed model is what the next one is held against; the one before it, what it was held against itself.
    blessed = latest_blessed_model(root)
    before = latest_blessed_model(root, but=blessed.digest) if blessed is not None else None
    for model in filter(None, (blessed, before)):
        parts = (model.model, model.transform_graph, model.blessing)
        waiting += [makers[part] for part in parts if part in makers]
    kept: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one.id not in kept:
            kept.add(one.id)
            waiting += [makers[artifact.path] for artifact in one.inputs.values() if artifact.path in makers]
    old = [one for one in executions if one.id not in kept]
    records = {folder.parent for folder, _ in pushes(root)}
    paths = [folder for one in old if (folder := root / one.stage / str(one.id)) not in records]
    last = {one.stage: one.id for one in executions if one.id in kept}
    for log in sorted((root / LOGS).glob("*-*.log")):
        # Also of those that failed; what failed after the last good one is still to be looked at.
        stage, _, number = log.stem.rpartition("-")
        if number.isdigit() and int(number) not in kept and int(number) < last.get(stage, 0):
            paths.append(log)
    return [Garbage(path, size_of(path)) for path in paths if path.exists()]
