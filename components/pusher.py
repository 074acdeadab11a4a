"""The Pusher stage: a blessed model becomes the next version in the serving folder, whole or not at all."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pipeline.artifacts import Artifact, ExportedModel, InfraBlessing, ModelBlessing, PushedModel
from pipeline.config import PipelineConfig, PusherConfig
from pipeline.errors import NotBlessed
from pipeline.stage import Stage

_GRAPH_FILE = "saved_model.pb"
_RECORD = "pushed.json"


@dataclasses.dataclass(frozen=True)
class Pusher(Stage):
    """Copies a blessed model to `<root>/serving/<name>/<version>`."""

    pipeline: PipelineConfig
    pusher: PusherConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "exported_model": ExportedModel,
        "blessing": ModelBlessing,
        "infra_blessing": InfraBlessing,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"pushed_model": PushedModel}

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        """Whether the pushed version is still what is served: the newest one, and there."""
        record: dict[str, Any] = json.loads((outputs["pushed_model"] / _RECORD).read_text("utf-8"))
        destination = root / record["destination"]
        newest = max(versions(destination.parent), default=0)
        return record["version"] == newest and (destination / _GRAPH_FILE).is_file()

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        reasons = [
            *refusal(inputs["blessing"], "BLESSED", "NOT_BLESSED"),
            *refusal(inputs["infra_blessing"], "INFRA_BLESSED", "INFRA_NOT_BLESSED"),
        ]
        if reasons:
            raise NotBlessed(reasons)
        destination = push(inputs["exported_model"], root / "serving" / self.pipeline.name)
        if self.pusher.keep is not None:
            remove_old(destination.parent, self.pusher.keep)
        # Relative, so that a root folder can be moved.
        record = {"destination": destination.relative_to(root).as_posix(), "version": int(destination.name)}
        (outputs["pushed_model"] / _RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def refusal(blessing: Path, yes: str, no: str) -> list[str]:
    """Why a blessing is refused; empty when it is given. Neither file, or both, is a refusal."""
    if (blessing / no).is_file():
        return (blessing / no).read_text("utf-8").splitlines() or [f"{no} without a reason."]
    return [] if (blessing / yes).is_file() else [f"{blessing} holds no {yes} file."]


def versions(serving: Path) -> list[int]:
    """Numbers of the versions in a serving folder, ascending."""
    return sorted(int(path.name) for path in serving.glob("*") if path.name.isdecimal() and path.is_dir())


def push(model: Path, serving: Path) -> Path:
    """Copies a SavedModel into a serving folder as its next version.

    A server that watches the folder takes a directory with an integer name that holds saved_model.pb for a model. So
    the copy is made under another name, the graph file last, and renamed when everything is on the disk.

    Returns:
        The version's folder.
    """
    serving.mkdir(parents=True, exist_ok=True)
    temporary = serving / f".incoming-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        shutil.copytree(model, temporary, ignore=shutil.ignore_patterns(_GRAPH_FILE))
        shutil.copy2(model / _GRAPH_FILE, temporary / _GRAPH_FILE)
        for file in [path for path in temporary.rglob("*") if path.is_file()]:
            with file.open("rb") as written:
                os.fsync(written.fileno())
        return _rename_to_next_version(temporary, serving)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename_to_next_version(temporary: Path, serving: Path) -> Path:
    while True:
        destination = serving / str(1 + max(versions(serving), default=0))
        try:
            return temporary.rename(destination)
        except OSError as error:
            # Another push took the number in between.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def remove_old(serving: Path, keep: int) -> None:
    """Removes all but the newest `keep` versions."""
    for version in versions(serving)[:-keep]:
        shutil.rmtree(serving / str(version))
