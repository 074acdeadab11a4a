"""What the file system has to be told so that a rename outlives a power cut."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes sure that the names in a folder, those just given included, are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
