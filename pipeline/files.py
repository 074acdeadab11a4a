"""What an execution says of itself on disk, and what makes a rename outlive a power cut."""

import json
import os
from pathlib import Path
from typing import Any

# Lies beside the outputs of an execution, and is written last: the mark that they are whole.
EXECUTION = "execution.json"


def read_execution(artifact: Path) -> dict[str, Any] | None:
    """What the execution that wrote an artifact recorded of itself; None of a folder that no execution wrote."""
    file = artifact.parent / EXECUTION
    record = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return record if artifact.name in record.get("outputs", ()) else None


def sync_folder(folder: Path) -> None:
    """Makes sure that the names in a folder, those just given included, are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
