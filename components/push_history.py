"""What a root has pushed, and which models were rolled back from: read from the records of the Pusher's executions."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.files import executions

RECORD = "pushed.json"


@dataclasses.dataclass(frozen=True)
class Push:
    """One push, as its artifact `pushed_model` records it.

    Attributes:
        destination: The version's folder: relative to the root where it lies in there, absolute, or a URL.
        version: Its number.
        digest: Of its bytes, as `digest_folder` has it.
        model: Which trained model it is: hash of its architecture and weights, or `digest` where they are not known.
        withdrawn: The `model` that this push is the roll-back of; null if it is none.
    """

    destination: str
    version: int
    digest: str
    model: str
    withdrawn: str | None = None

    def save(self, folder: Path) -> None:
        """Writes it into an artifact."""
        (folder / RECORD).write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Push | None:
        """Reads an artifact; None of one that another version of the program wrote, or of none."""
        try:
            record: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
            return cls(**record)
        except (OSError, ValueError, TypeError):
            return None


def exported_from(digest: str, root: Path) -> str | None:
    """Digest of the Trainer's output that an export is of; None of an export from elsewhere.

    Args:
        digest: Of the export.
        root: Of the pipeline.
    """
    made = (record for _, record in executions(root, "exporter") if record["outputs"].get("exported_model") == digest)
    return next((record["inputs"].get("model") for record in made), None)


def model_identity(digest: str, root: Path) -> str:
    """Which trained model a Trainer's output is, whatever lies beside its weights (clock times of the training).

    Args:
        digest: Of the Trainer's output.
        root: Of the pipeline; `digest` stands for a model whose folder is gone.
    """
    for folder, record in executions(root, "trainer"):
        files = sorted((folder / "model").glob("model.*"))  # architecture and weights
        if record["outputs"].get("model") == digest and files:
            total = hashlib.sha256()
            for file in files:
                total.update(file.read_bytes())
            return total.hexdigest()
    return digest


def pushes(root: Path) -> list[tuple[Path, Push]]:
    """The artifacts `pushed_model` of a root, oldest first."""
    folders = [path / "pushed_model" for path in (root / "pusher").glob("*") if path.name.isdecimal()]
    loaded = ((folder, Push.load(folder)) for folder in sorted(folders, key=lambda path: int(path.parent.name)))
    return [(folder, push) for folder, push in loaded if push is not None]


def withdrawn_models(root: Path) -> dict[str, Push]:
    """Models that were rolled back from and not pushed since → the push that brought a former one back."""
    found: dict[str, Push] = {}
    for _, push in pushes(root):
        found.pop(push.model, None)
        if push.withdrawn is not None:
            found[push.withdrawn] = push
    return found
