"""What was validated before in a root folder: which corpora were accepted, and what refuses one now."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATISTICS_FILES = "Split-*/FeatureStats.pb"
RECORD, SENTENCES, ACCEPTED = "validation.json", "anomalies.txt", "accepted"


@dataclass(frozen=True)
class Accepted:
    """A corpus that nothing stopped.

    Attributes:
        digest: Of its statistics.
        folder: A copy of its statistics.
    """

    digest: str
    folder: Path


def digest(statistics: Path) -> str:
    """SHA-256 of the statistics of all splits, the page not among them."""
    total = hashlib.sha256()
    for path in sorted(statistics.glob(STATISTICS_FILES)):
        total.update(f"{path.parent.name}={hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def accepted(root: Path, stage: str) -> list[Accepted]:
    """The corpora that executions of a stage accepted, newest first."""
    executions = [path for path in (root / stage).glob("*") if path.name.isdecimal()]
    found = []
    for execution in sorted(executions, key=lambda path: int(path.name), reverse=True):
        record = read_record(execution / "anomalies")
        folder = execution / "anomalies" / ACCEPTED
        if record.get("accepted") and folder.is_dir():
            found.append(Accepted(record["statistics"], folder))
    return found


def baseline(corpora: list[Accepted], own: str) -> Accepted | None:
    """The newest accepted corpus but this one: a corpus that comes again has not drifted from itself."""
    return next((corpus for corpus in corpora if corpus.digest != own), None)


def read_record(anomalies: Path) -> dict[str, Any]:
    """What an ExampleAnomalies artifact says of itself; {} when it cannot be read."""
    try:
        record = json.loads((anomalies / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
