"""Which files a corpus has: `text:`, `jsonl:`, `csv:` and `tsv:` globs on any file system, and `package:NAME`."""

from __future__ import annotations

import glob
import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from components.example_gen.blocks import is_remote


@dataclass(frozen=True)
class InputFile:
    """A file that documents are read from.

    Attributes:
        id: Its name, the same on every machine.
        path: Where it is: a path, or a URL of one of Beam's file systems.
        size: Bytes, compressed as it is.
    """

    id: str
    path: str
    size: int


def list_files(source: str) -> list[InputFile]:
    """Lists the files of a corpus, in order of their id.

    Args:
        source: `package:NAME`, or a kind and a glob: `KIND:GLOB`.

    Returns:
        At least one file.

    Raises:
        ValueError: Nothing is there.
    """
    kind, _, rest = source.partition(":")
    matching = _remote if is_remote(rest) else _local
    files = _package(rest) if kind == "package" else matching(source, rest)
    return sorted(files, key=lambda file: file.id)


def digest(files: Iterable[InputFile]) -> str:
    """SHA-256 over the ids and the content of all files.

    The content of a remote file is what its file system's checksum says; where that has none, its size and time.
    """
    total = hashlib.sha256()
    for file in files:
        # Digests of fixed length, so that no two lists of (id, content) look alike.
        total.update(hashlib.sha256(file.id.encode()).digest())
        total.update(_remote_digest(file.path) if is_remote(file.path) else _local_digest(file.path))
    return total.hexdigest()


def _local_digest(path: str) -> bytes:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _remote_digest(path: str) -> bytes:
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    try:
        state = f"checksum {FileSystems.checksum(path)}"
    except (BeamIOError, NotImplementedError):
        (found,) = FileSystems.match([path])[0].metadata_list
        state = f"size {found.size_in_bytes} time {found.last_updated_in_seconds}"
    return hashlib.sha256(state.encode()).digest()


def _local(source: str, pattern: str) -> Iterator[InputFile]:
    # Path.glob takes relative patterns only.
    paths = [Path(name) for name in glob.glob(str(Path(pattern).expanduser()), recursive=True)]  # noqa: PTH207
    # By what they are, not by how they are reached: links must not make two documents of one.
    files = {path.resolve(): path for path in sorted(paths, reverse=True) if path.is_file()}.values()
    if not files:
        raise ValueError(
            f"ExampleGen: a glob must match at least one file. Received: source={source!r}, seen from {Path.cwd()}. "
            "Check the path; `**` matches folders at any depth."
        )
    base = _fixed_part(Path(pattern).expanduser().parts)
    for path in files:
        name = path.relative_to(Path(*base)).as_posix()
        yield InputFile(_utf8_name(name), str(path), path.stat().st_size)


def _remote(source: str, pattern: str) -> Iterator[InputFile]:
    from apache_beam.io.filesystem import BeamIOError
    from apache_beam.io.filesystems import FileSystems

    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (BeamIOError, ValueError) as error:
        raise ValueError(
            f"ExampleGen: a remote glob must be one that Beam can list. Received: source={source!r}. {error}"
        ) from error
    if not found:
        raise ValueError(
            f"ExampleGen: a glob must match at least one file. Received: source={source!r}. Check the path; `**` "
            "matches folders at any depth."
        )
    scheme, _, rest = pattern.partition("://")
    base = PurePosixPath(*_fixed_part(PurePosixPath(rest).parts))
    for file in found:
        name = PurePosixPath(file.path.removeprefix(f"{scheme}://"))
        yield InputFile(_utf8_name(name.relative_to(base).as_posix()), file.path, file.size_in_bytes)


def _fixed_part(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The folder above the first wildcard: ids are relative to it, so that they do not name the machine."""
    return parts[: next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)]


def _utf8_name(name: str) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"ExampleGen: a file name must be UTF-8. Received: {name!r}. Rename the file, for example with `convmv`."
        ) from error
    return name


def _package(name: str) -> Iterator[InputFile]:
    # The list of installed files is read, the package itself is never imported: that may run anything.
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(
            f"ExampleGen: a package must be installed to be read. Received: source='package:{name}'. "
            f"Run `pip install {name}`."
        ) from error
    documents = [file for file in files if file.suffix == ".md" and re.match(rf"{re.escape(name)}/", file.as_posix())]
    if not documents:
        raise ValueError(
            f"ExampleGen: a package must hold Markdown files. Received: source='package:{name}' with {len(files)} "
            f"files, none of them {name}/**/*.md."
        )
    for file in documents:
        path = Path(str(file.locate()))
        yield InputFile(file.as_posix(), str(path), path.stat().st_size)
