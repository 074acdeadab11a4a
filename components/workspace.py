"""A folder in a root where a stage keeps what it goes on from: for one process at a time, and gone when it is done."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

LOCK = "lock"  # the file's name


@contextlib.contextmanager
def locked(folder: Path, rule: str) -> Iterator[None]:
    """Makes a folder and keeps other processes out of it; the system frees the lock of a process that ends.

    Args:
        folder: The folder.
        rule: Who may do what one at a time, as the beginning of a sentence.

    Raises:
        RuntimeError: Another process has the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RuntimeError(
                f"{rule}. Received: {folder}, which another one is using. Wait for it, or name another folder."
            ) from error
        yield
    finally:
        os.close(descriptor)


def remove(folder: Path, rule: str) -> None:
    """Removes a folder, if it is there, and the folder around it if nothing else is in that.

    Raises:
        RuntimeError: Another process has the lock.
    """
    if not folder.is_dir():
        return
    with locked(folder, rule):
        shutil.rmtree(folder)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
