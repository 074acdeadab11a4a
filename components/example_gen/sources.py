"""Where documents come from: `inline:TEXT`, `text:GLOB` and `package:NAME`."""

from __future__ import annotations

import glob
import hashlib
import importlib.metadata
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.example_gen.markdown import plain_text


@dataclass(frozen=True)
class Source:
    """A named place that one document is read from.

    Attributes:
        id: Name of the document, the same on every machine.
        read: Returns the text. Raises ValueError, naming the file, for content that cannot be a document.
        raw: Returns the bytes the text is made from; they decide whether the corpus has changed.
    """

    id: str
    read: Callable[[], str]
    raw: Callable[[], bytes]


def open_source(uri: str) -> list[Source]:
    """Lists the documents of a corpus, in order of their id.

    Args:
        uri: `inline:TEXT`, `text:GLOB` or `package:NAME`.

    Returns:
        At least one source.

    Raises:
        ValueError: Nothing is there.
    """
    kind, _, rest = uri.partition(":")
    sources = {"inline": _inline, "text": _text, "package": _package}[kind](rest)
    return sorted(sources, key=lambda source: source.id)


def digest(sources: list[Source]) -> str:
    """SHA-256 over the ids and bytes of all documents."""
    total = hashlib.sha256()
    for source in sources:
        # Digests of fixed length, so that no two lists of (id, bytes) look alike.
        total.update(hashlib.sha256(source.id.encode()).digest())
        total.update(hashlib.sha256(source.raw()).digest())
    return total.hexdigest()


def decode(raw: bytes, name: str) -> str:
    """Bytes of a file as text, with nothing changed: no newline translation, no normalisation.

    Raises:
        ValueError: `raw` is empty or not UTF-8.
    """
    if not raw:
        raise ValueError(f"ExampleGen: a document must not be empty. Received: {name} of 0 bytes. Remove the file.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"ExampleGen: a document must be UTF-8. Received: {name} with byte 0x{raw[error.start]:02x} at byte offset "
            f"{error.start} ({error.reason}). Convert the file, for example with `iconv -t UTF-8`."
        ) from error


def _inline(text: str) -> Iterator[Source]:
    yield Source("inline", read=lambda: text, raw=text.encode)


def _text(pattern: str) -> Iterator[Source]:
    # Path.glob takes relative patterns only.
    paths = [Path(name) for name in glob.glob(str(Path(pattern).expanduser()), recursive=True)]  # noqa: PTH207
    # By what they are, not by how they are reached: links must not make two documents of one.
    files = {path.resolve(): path for path in sorted(paths, reverse=True) if path.is_file()}.values()
    if not files:
        raise ValueError(
            f"ExampleGen: a glob must match at least one file. Received: source='text:{pattern}', seen from "
            f"{Path.cwd()}. Check the path; `**` matches folders at any depth."
        )
    base = _fixed_part(pattern)
    for path in files:
        yield _file_source(path, _utf8_name(path.relative_to(base).as_posix()))


def _fixed_part(pattern: str) -> Path:
    """The folder above the first wildcard: ids are relative to it, so that they do not name the machine."""
    parts = Path(pattern).expanduser().parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:fixed])


def _utf8_name(name: str) -> str:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"ExampleGen: a file name must be UTF-8. Received: {name!r}. Rename the file, for example with `convmv`."
        ) from error
    return name


def _file_source(path: Path, name: str) -> Source:
    return Source(name, read=lambda: decode(path.read_bytes(), str(path)), raw=path.read_bytes)


def _package(name: str) -> Iterator[Source]:
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
        yield _markdown_source(Path(str(file.locate())), file.as_posix())


def _markdown_source(path: Path, name: str) -> Source:
    return Source(name, read=lambda: plain_text(decode(path.read_bytes(), str(path))), raw=path.read_bytes)
