"""Names in a root, digests of folders, what an execution says of itself, and renames that outlive a power cut."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp"  # folder of the root: what is being written, and locks
# Lies beside the outputs of an execution, and is written last: the mark that they are whole.
EXECUTION = "execution.json"


def read_execution(artifact: Path) -> dict[str, Any] | None:
    """What the execution that wrote an artifact recorded of itself; None of a folder that no execution wrote."""
    record = _recorded(artifact.parent) if (artifact.parent / EXECUTION).is_file() else {}
    return record if artifact.name in record.get("outputs", ()) else None


def executions(root: Path, stage: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The folders of a stage's executions and what each recorded of itself, newest first."""
    folders = [path for path in (root / stage).glob("*") if path.name.isdecimal() and (path / EXECUTION).is_file()]
    for folder in sorted(folders, key=lambda path: int(path.name), reverse=True):
        yield folder, _recorded(folder)


def _recorded(folder: Path) -> dict[str, Any]:
    file = folder / EXECUTION
    try:
        record = json.loads(file.read_text("utf-8"))
        if not isinstance(record, dict) or not all(isinstance(record.get(key), dict) for key in ("inputs", "outputs")):
            raise ValueError("it is not what an execution records")
    except ValueError as error:
        raise RuntimeError(
            f"{file} must say what the execution read and wrote. Received: a damaged file ({error}). Restore it, or "
            f"remove {folder}: what needs it is made again."
        ) from error
    return record


def digest_folder(path: Path) -> str:
    """Hashes the files of a folder: relative paths, in order, and bytes. Times, modes and empty folders do not count.

    Returns:
        A hexadecimal SHA-256.
    """
    total = hashlib.sha256()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    for name in sorted(files):
        with files[name].open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{len(name.encode())}:{name}={content}\n".encode())
    return total.hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def sync_folder(folder: Path) -> None:
    """Makes sure that the names in a folder, those just given included, are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
