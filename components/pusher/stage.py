"""The Pusher stage: a blessed model becomes the next version that is served; roll-back: a former one does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from components.push_history import Push, exported_from, model_identity, pushes, withdrawn_models
from components.pusher.local import LocalVersions
from components.pusher.remote import RemoteVersions
from pipeline.artifacts import Artifact, ExportedModel, InfraBlessing, ModelBlessing, PushedModel
from pipeline.config import PipelineConfig, PusherConfig
from pipeline.errors import NotBlessed
from pipeline.files import digest_folder, read_execution
from pipeline.stage import Stage


@dataclasses.dataclass(frozen=True)
class Pusher(Stage):
    """Copies a blessed model to `<root>/serving/<name>/<version>`, or to another destination."""

    pipeline: PipelineConfig
    pusher: PusherConfig

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {
        "exported_model": ExportedModel,
        "blessing": ModelBlessing,
        "infra_blessing": InfraBlessing,
    }
    outputs: ClassVar[Mapping[str, type[Artifact]]] = {"pushed_model": PushedModel}

    def versions(self, root: Path) -> LocalVersions | RemoteVersions:
        """The versions of the model at its destination."""
        above = self.pusher.destination
        if above is not None and "://" in above:
            return RemoteVersions(f"{above.rstrip('/')}/{self.pipeline.name}")
        folder = root / "serving" if above is None else Path(above).expanduser().absolute()
        return LocalVersions(folder / self.pipeline.name)

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        """Whether the pushed version is still what is served: the newest one, and there."""
        record, versions = Push.load(outputs["pushed_model"]), self.versions(root)
        if record is None or record.destination != _recorded(versions.path(record.version), root):
            return False
        return record.version == max(versions.numbers(), default=0) and versions.holds(record.version, record.digest)

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        reasons = [
            *refusal(inputs["blessing"], "BLESSED", "NOT_BLESSED"),
            *refusal(inputs["infra_blessing"], "INFRA_BLESSED", "INFRA_NOT_BLESSED"),
        ]
        digest = digest_folder(inputs["exported_model"])
        reasons += _of_another_model(inputs, digest, root)
        back = withdrawn_models(root).get(_identity(digest, root))
        if back is not None:
            last = max((p.version for _, p in pushes(root) if p.model == back.withdrawn), default=back.version)
            reasons.append(
                f"This model was version {last} and was rolled back from: version {back.version}, a former model, took "
                f"its place. Train another one, or serve it again with `rollback --to {last}`."
            )
        if reasons:
            raise NotBlessed(reasons)
        self.push(inputs["exported_model"], outputs["pushed_model"], root)

    @staticmethod
    def _last_number(versions: LocalVersions | RemoteVersions, root: Path) -> int:
        """The largest number that this root has given at the destination: none is given twice, also if it is gone."""
        here = (push for _, push in pushes(root) if push.destination == _recorded(versions.path(push.version), root))
        return max((push.version for push in here), default=0)

    def push(self, model: Path, output: Path, root: Path, withdrawn: str | None = None) -> None:
        """Makes a model the newest version, if it is not, and records that.

        Args:
            model: A SavedModel.
            output: Where the record goes.
            root: Of the pipeline.
            withdrawn: See `Push`.
        """
        versions, digest = self.versions(root), digest_folder(model)
        newest = max(versions.numbers(), default=0)
        earlier = {push.destination: push for _, push in pushes(root)}
        recorded = earlier.get(_recorded(versions.path(newest), root))
        if recorded is None:  # pushed by a process that was killed then, or not by this root
            is_served = versions.is_copy(newest, model)
        else:
            is_served = recorded.digest == digest and versions.holds(newest, digest)
        version = newest if is_served else versions.push(model, after=self._last_number(versions, root))
        if self.pusher.keep is not None:
            versions.remove_old(self.pusher.keep)
        # A former version's own folder may stand for an export that is gone.
        identity = next((push.model for push in earlier.values() if push.digest == digest), _identity(digest, root))
        Push(_recorded(versions.path(version), root), version, digest, identity, withdrawn).save(output)


@dataclasses.dataclass(frozen=True)
class Rollback(Pusher):
    """Pushes a former model once more, in the Pusher's place and name; the newest one counts as withdrawn.

    A new number, not the newest folder's removal: servers take the largest, never without one in between, and no number
    ever means two models.
    """

    inputs: ClassVar[Mapping[str, type[Artifact]]] = {"exported_model": ExportedModel}

    @classmethod
    def stage_name(cls) -> str:
        return Pusher.stage_name()

    def reusable(self, outputs: Mapping[str, Path], root: Path) -> bool:
        return False

    def run(self, inputs: Mapping[str, Path], outputs: Mapping[str, Path], root: Path) -> None:
        versions = self.versions(root)
        served = _recorded(versions.path(max(versions.numbers(), default=0)), root)
        withdrawn = next((push.model for _, push in reversed(pushes(root)) if push.destination == served), None)
        self.push(inputs["exported_model"], outputs["pushed_model"], root, withdrawn)


def _identity(digest: str, root: Path) -> str:
    """Which trained model an export is of; its own digest if it was not exported here."""
    model = exported_from(digest, root)
    return digest if model is None else model_identity(model, root)


def _of_another_model(inputs: Mapping[str, Path], digest: str, root: Path) -> list[str]:
    """Why blessings are not of this export, as far as what executions recorded of themselves tells."""
    model = exported_from(digest, root)
    reasons = []
    for key, what, expected in (("blessing", "model", model), ("infra_blessing", "exported_model", digest)):
        record = read_execution(inputs[key])
        judged = None if record is None else record["inputs"].get(what)
        if None not in (judged, expected) and judged != expected:
            reasons.append(f"{inputs[key]} is of another {what} than the one to be pushed, {inputs['exported_model']}.")
    return reasons


def refusal(blessing: Path, yes: str, no: str) -> list[str]:
    """Why a blessing is refused; empty when it is given. Neither file, or both, is a refusal."""
    if (blessing / no).is_file():
        return (blessing / no).read_text("utf-8").splitlines() or [f"{no} without a reason."]
    return [] if (blessing / yes).is_file() else [f"{blessing} holds no {yes} file."]


def _recorded(path: str, root: Path) -> str:
    """Relative to the root where it lies in there, so that a root folder can be moved."""
    return Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else path
